"""Honest logins and reads while somebody guesses a hundred passwords a second, from another address."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.our_server import OurServer, start_ours
from tests.benchmarks.reads import requests_per_second
from tests.benchmarks.table import Row
from tests.benchmarks.under_attack import attacking
from tests.support.attackers.guessers import GUESSED, LOGIN, basic, passwords
from trustserver.auth.passwords import hash_password
from trustserver.settings import Settings
from trustserver.storage.access_port import CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.opening import open_access, open_store

_PASSWORD: Final = "correct-horse-battery"
_USERS: Final = 10
_READ_SECONDS: Final = 3
_BUDGET: Final = 1.0
"""Seconds that the first login of somebody may take: each is checked anew, at about 0.07 seconds."""


def rows(folder: Path) -> Iterator[Row]:
    """Measure the first login of each of several users, and reads of one who is known, beside the guesses."""
    _add_users(folder / "server" / "data")
    with start_ours(folder / "server") as server:
        known = [f"{name}: {value}" for name, value in basic(GUESSED, _PASSWORD).items()]
        url = f"{server.url}/api/v1/access/whoami"
        alone = requests_per_second(url, seconds=_READ_SECONDS, headers=known)
        with attacking(passwords, server, ""):
            slowest = max(_login_seconds(server, f"user-{number}") for number in range(_USERS))
            attacked = requests_per_second(url, seconds=_READ_SECONDS, headers=known)
    what = "guessed passwords"
    yield Row(what=f"{what}: slowest first login", ours=slowest, peer=_BUDGET, unit="s", wanted=1.0)
    yield Row(what=f"{what}: known login", ours=attacked, peer=alone, unit="1/s", wanted=0.5, more_is_better=True)


def _add_users(data: Path) -> None:
    settings = Settings(data=data)
    data.parent.mkdir(parents=True)
    open_store(settings).close()
    store = open_access(settings)
    secret, at = hash_password(_PASSWORD.encode()), datetime.now(UTC)
    names = [GUESSED, *(f"user-{number}" for number in range(_USERS))]
    store.put(
        [
            StoredCredential(
                kind=CredentialKind.USER, name=name, secret=secret, created=at, rights=("pull",), names=("*",)
            )
            for name in names
        ],
        by=NOBODY,
    )
    store.close()


def _login_seconds(server: OurServer, user: str) -> float:
    began = time.monotonic()
    asked = urllib.request.Request(f"{server.url}{LOGIN}", headers=basic(user, _PASSWORD))
    with urllib.request.urlopen(asked) as answer:
        answer.read()
    return time.monotonic() - began

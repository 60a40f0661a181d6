"""What it costs to find out who asks and what they may do, where reads are not open to everybody."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.table import Row
from trustdata.gun import GUN
from trustserver.auth.api_tokens import make_token
from trustserver.auth.authorizer import Action, Sender
from trustserver.auth.opening import open_authorizer
from trustserver.auth.passwords import hash_password
from trustserver.settings import Settings
from trustserver.storage.access_port import CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.opening import open_access, open_store

_BUDGET: Final = 0.3
"""Milliseconds that somebody who was seen before may cost."""
_READS: Final = 20_000
_TOKENS: Final = 1000
_RULES: Final = 200
_NAME: Final = GUN("registry.example.com/team/app")
_PASSWORD: Final = b"correct-horse-battery"


def rows(folder: Path) -> list[Row]:
    """Measure reads with an API token, a password and a session that were seen before, under many rules."""
    folder.mkdir()
    rules = folder / "access.toml"
    rule = '[[rule]]\nsubjects = ["group:g"]\nnames = ["registry.example.com/other-{}/*"]\nallow = ["pull"]\n'
    members = ", ".join(f'"token:other-{number}"' for number in range(_TOKENS))
    rules.write_text(f"version = 1\n[groups]\ng = [{members}, 'token:ci']\n" + "".join(map(rule.format, range(_RULES))))
    rules.chmod(0o600)
    settings = Settings(data=folder / "data", access=rules)
    open_store(settings).close()
    store, at = open_access(settings), datetime.now(UTC)
    for number in range(_TOKENS):
        make_token(store, f"other-{number}", at=at, expires=None, rights=["pull"], names=["*"], by=NOBODY)
    token = make_token(store, "ci", at=at, expires=None, rights=["pull"], names=["*"], by=NOBODY)
    secret = hash_password(_PASSWORD)
    user = StoredCredential(
        kind=CredentialKind.USER, name="alice", secret=secret, created=at, rights=("pull",), names=("*",)
    )
    store.put([user], by=NOBODY)
    authorizer = open_authorizer(settings, store=store)
    login = _header(b"Basic " + base64.b64encode(b"alice:" + _PASSWORD))
    asyncio.run(authorizer.authorize(login, Action.READ, _NAME))
    session = asyncio.run(authorizer.log_in(login))
    kinds = {"API token": _header(f"Bearer {token}".encode()), "password": login}
    kinds["session"] = _header(f"Bearer {session}".encode())
    found = [
        Row(
            what=f"read with a known {kind}",
            ours=_spent(sender, authorizer.may_read_now),
            peer=_BUDGET,
            unit="ms",
            wanted=1.0,
        )
        for kind, sender in kinds.items()
    ]
    authorizer.close()
    store.close()
    return found


def _header(value: bytes) -> Sender:
    return Sender(headers=[(b"host", b"trust.example.com"), (b"authorization", value)])


def _spent(sender: Sender, may_read: Callable[[Sender, GUN], bool]) -> float:
    """Milliseconds of CPU for one decision."""
    began = time.process_time()
    for _ in range(_READS):
        if not may_read(sender, _NAME):
            raise AssertionError("it may be read")
    return (time.process_time() - began) / _READS * 1e3

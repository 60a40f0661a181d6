"""A running server under those who use up what all share: the others go on, and nothing of it stays on the disk."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from tests.support.attackers import Attacker, Target
from tests.support.attackers.common_pots import empty_uploads, forged, forged_tokens, many_names, same_name
from tests.support.attackers.same_address import HELD, HONEST, begin_upload
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import FORM, form
from tests.support.server_owner import Owner
from tests.support.server_process import ServerProcess
from tests.support.token_server import ISSUER, PASSWORD, SERVICE, start_token_server
from trustdata.roles import ONLINE, TARGETS
from trustserver.process.kernel_clock import now

GUN = "registry.example.com/honest/app"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    yield process
    process.kill()


class _Counted(threading.Event):
    """An attacker's sign to stop, after so many requests; it does not wait between them."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self._left = requests

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self._left -= 1
        return self._left < 0


def attack(server: ServerProcess, attacker: Attacker, *, requests: int, **target: Any) -> None:
    parts = urlsplit(server.url)
    attacker(Target(host=parts.hostname or "", port=parts.port or 0, **target), cast("Any", _Counted(requests)))


def rows(server: ServerProcess, statement: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{server.data / 'trust.db'}?mode=ro", uri=True)) as database:
        return int(database.execute(statement).fetchone()[0])


def test_whoever_asks_for_many_names_keeps_nobody_from_beginning_one(server: ServerProcess) -> None:
    server.start()
    attack(server, many_names, requests=400, gun="attacker/app")
    assert rows(server, "SELECT count(*) FROM online_key") == rows(server, "SELECT count(*) FROM collection") == 0
    assert rows(server, "SELECT count(*) FROM offer_salt") == 1
    owner = Owner(now())
    server.learn_keys(owner, GUN)
    assert server.publish(GUN, owner.first_upload())[0] == 200
    assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200


def test_empty_uploads_leave_nothing_on_the_disk(server: ServerProcess) -> None:
    server.start()
    base = f"/v2/{GUN}/_trust/tuf/"
    owner = NotaryOwner(GUN, at=now())
    for role in ONLINE:
        owner.learn(role, json.loads(server.get(f"{base}{role}.key")[1]))
    files = [(str(role), raw) for role, raw in owner.first_upload().items()]
    assert server.get(base, method="POST", data=form(files), kind=FORM)[0] == 200
    stored = rows(server, "SELECT count(*) FROM file")
    attack(server, empty_uploads, requests=100, gun=GUN)
    assert rows(server, "SELECT count(*) FROM file") == stored
    assert rows(server, "SELECT count(*) FROM change") == 1
    files = [("targets", owner.targets())]
    assert server.get(base, method="POST", data=form(files), kind=FORM)[0] == 200, "who has something to say is heard"


def test_stalled_uploads_keep_nobody_out_who_has_the_same_address(server: ServerProcess) -> None:
    """A request whose body is waited for is not one that is worked on."""
    server.start("--upload-rate", "0", "--upload-seconds", "3600")
    parts = urlsplit(server.url)
    target = Target(host=parts.hostname or "", port=parts.port or 0, source=HONEST)
    owner = Owner(now())
    with contextlib.ExitStack() as held:
        for number in range(HELD):
            held.enter_context(begin_upload(target, number))
        server.learn_keys(owner, GUN)
        assert server.publish(GUN, owner.first_upload())[0] == 200
        assert server.publish(GUN, {TARGETS: owner.targets()})[0] == 200
        assert "publish refused" not in server.log(), "all of them are still waited for"


def test_forged_tokens_keep_nobody_out(server: ServerProcess, tmp_path: Path) -> None:
    with start_token_server(tmp_path / "tokens", naming="x5c") as tokens:
        server.start(*tokens.options())
        honest = _token(tokens.realm, "carol", GUN)
        refused: list[int] = []
        eight = same_name()
        attackers = [
            threading.Thread(
                target=attack,
                args=(server, forged_tokens),
                kwargs={"requests": 50, "gun": GUN, "token": f"{ISSUER}\n{SERVICE}", "source": f"127.0.0.{number}"},
            )
            for number in range(2, 6)
        ]
        for each in attackers:
            each.start()
        owner = Owner(now())
        for role in ONLINE:
            owner.learn(role, json.loads(_asked(server, f"/api/v1/collections/{GUN}/keys/{role}", honest)[1]))
        refused += [_asked(server, f"/tuf/{GUN}/metadata/root.json", forged(eight, ISSUER, SERVICE, 0))[0]] * 2
        for each in attackers:
            each.join(timeout=60)
            assert not each.is_alive()
        assert _asked(server, f"/api/v1/collections/{GUN}/keys/snapshot", honest)[0] == 200
    assert refused == [401, 401]
    assert "token refused" in server.log()


def _token(realm: str, person: str, gun: str) -> str:

    login = base64.b64encode(f"{person}:{PASSWORD}".encode()).decode()
    query = f"service={SERVICE}&scope=repository:{gun}:pull,push,*"
    request = urllib.request.Request(f"{realm}?{query}", headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request) as answer:
        return str(json.loads(answer.read())["token"])


def _asked(server: ServerProcess, path: str, bearer: str) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {bearer}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()

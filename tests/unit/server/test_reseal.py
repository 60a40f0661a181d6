"""Another seal key: everything is sealed with it while the server serves, and whoever is killed goes on."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.cli_runner import CliRunner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from trustdata.gun import GUN
from trustdata.roles import SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.__main__ import app
from trustserver.admin import reseal as module
from trustserver.admin.reseal import reseal
from trustserver.errors import StartRefused
from trustserver.settings import Settings
from trustserver.storage.database import open_engine
from trustserver.storage.events import EventKind
from trustserver.storage.key_rows import SqlServerKeys
from trustserver.storage.opening import (
    exclusive_use,
    existing_store,
    open_published_log,
    open_sealer,
    open_server_keys,
    open_store,
)
from trustserver.storage.ports import MetadataStore
from trustserver.storage.sealed_keys import SealedKeys

OLD, NEW, OTHER = bytes(32), bytes([1]) * 32, bytes([2]) * 32
ROWS = "SELECT gun, role, keyid, sealed, seal FROM online_key ORDER BY id"


class Ground:
    """A data folder with a collection of each format, sealed with OLD, and the files of three seal keys."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, key in (("old", OLD), ("new", NEW), ("other", OTHER)):
            (folder / name).write_bytes(base64.b64encode(key))
            (folder / name).chmod(0o600)
        self.folder = folder
        self.data = folder / "data"
        self._open = ExitStack()
        self.store: MetadataStore = self._open.enter_context(closing(open_store(self.settings("old"))))
        self.site = Site(self.store, sealer=self.sealer("old"))
        self.owner: Owner = self.site.begin()
        NotarySite(self.store, sealer=self.site.sealer).begin_notary()

    def settings(self, key: str, following: str = "") -> Settings:
        next_key = self.folder / following if following else None
        return Settings(data=self.data, seal_key=self.folder / key, next_seal_key=next_key)

    def sealer(self, key: str, following: str = "") -> SealedKeys:
        return open_sealer(self.settings(key, following), self.store)

    def serve_both(self) -> None:
        """The server is started anew, and knows both seal keys."""
        sealer = self.sealer("old", "new")
        self.keys().accept_next(sealer.mark)
        self.site = Site(self.store, sealer=sealer)

    def keys(self) -> SqlServerKeys:
        keys = self._open.enter_context(closing(open_server_keys(self.settings("old"))))
        assert isinstance(keys, SqlServerKeys)
        return keys

    def close(self) -> None:
        """Close all that was opened."""
        self._open.close()

    def rows(self) -> list[tuple[str, str, str, bytes, str]]:
        engine = open_engine(self.settings("old").database_url)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text(ROWS)).all()]
        engine.dispose()
        return rows

    def private(self, *, with_key: bytes) -> set[bytes]:
        """The private keys, each opened with this seal key alone."""
        sealer = SealedKeys(with_key)
        return {
            sealer.open(sealed, gun=GUN(gun), role=SNAPSHOT if role == SNAPSHOT else TIMESTAMP, keyid=keyid)
            for gun, role, keyid, sealed, _ in self.rows()
        }

    def rotate(self, *arguments: str, key: str = "old", following: str = "new") -> tuple[int, str]:
        options = ["--data", str(self.data), "--seal-key", str(self.folder / key)]
        options += ["--next-seal-key", str(self.folder / following)] if following else []
        result = CliRunner().invoke(app, ["seal", "rotate", *options, *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with closing(Ground(tmp_path / "ground")) as ground:
        yield ground


def done(ground: Ground, private: set[bytes]) -> None:
    """All keys are sealed with the new seal key, are the same keys as before, and the old one is not needed."""
    assert ground.private(with_key=NEW) == private
    assert len(private) == 4
    assert ground.keys().seals() == {SealedKeys(NEW).mark: 4}
    sealer = open_sealer(Settings(data=ground.data, seal_key=ground.folder / "new"), ground.store)
    assert sealer.marks == (SealedKeys(NEW).mark,)
    kinds = [event.kind for event in ground.store.events(None, after=0, limit=99)]
    assert kinds.count(EventKind.RESEALED) == 1


def test_all_keys_are_sealed_anew_and_the_old_seal_key_opens_none(ground: Ground) -> None:
    private = ground.private(with_key=OLD)
    status, said = ground.rotate()
    assert (status, said) == (
        0,
        f"all keys are sealed with {ground.folder / 'new'}: from the next start on it is the --seal-key\n",
    )
    done(ground, private)
    with pytest.raises(StartRefused, match="is not the seal key of the stored keys"):
        ground.sealer("old")
    again = f"nothing to do: {ground.folder / 'new'} is the current seal key, and all keys are sealed with it\n"
    assert ground.rotate() == (0, again)
    done(ground, private)


@pytest.mark.parametrize("state", ["stopped", "served"])
def test_the_seal_key_of_now_is_no_next_one_and_a_server_knows_it(ground: Ground, state: str) -> None:
    """The files were swapped, or it is done already: that the server does not know it would be untrue."""
    before = ground.rows()
    served = exclusive_use(ground.settings("old"), at=NOW, listen="http://127.0.0.1:4443")
    with served if state == "served" else nullcontext():
        status, said = ground.rotate(key="new", following="old")
    assert (status, said) == (
        0,
        f"nothing to do: {ground.folder / 'old'} is the current seal key, and all keys are sealed with it\n",
    )
    assert ground.rows() == before


def test_the_server_publishes_and_renews_all_along(ground: Ground) -> None:
    ground.serve_both()
    site = ground.site
    publishes = [0]

    def publish() -> None:
        publishes[0] += 1
        assert site.publish({TARGETS: ground.owner.targets()}).status_code == 200

    with exclusive_use(ground.settings("old", "new"), at=NOW, listen="http://127.0.0.1:4443"):
        reseal(ground.keys(), ground.sealer("old", "new"), served=True, at=NOW, step=publish)
    assert publishes == [2]
    site.later(days=10)
    assert site.app.renewal.round(at=site.at).renewed == 2
    later = Site(
        ground.store, sealer=open_sealer(Settings(data=ground.data, seal_key=ground.folder / "new"), ground.store)
    )
    later.at = site.later(days=10)
    assert later.app.renewal.round(at=later.at).renewed == 2


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_who_is_killed_after_any_transaction_goes_on_to_the_same_end(ground: Ground, step: int) -> None:
    private = ground.private(with_key=OLD)
    ground.sealer("old")
    program = f"""
import os, signal
from datetime import UTC, datetime
from pathlib import Path
from trustserver.admin import reseal
from trustserver.settings import Settings
from trustserver.storage.opening import existing_store, open_sealer, open_server_keys
reseal.LOT = 1
folder = Path({str(ground.folder)!r})
settings = Settings(data=folder / "data", seal_key=folder / "old", next_seal_key=folder / "new")
left = [{step}]
def step():
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
sealer = open_sealer(settings, existing_store(settings))
reseal.reseal(open_server_keys(settings), sealer, served=False, at=datetime(2026, 11, 1, tzinfo=UTC), step=step)
"""
    killed = subprocess.run([sys.executable, "-c", program], env={**os.environ}, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert ground.keys().seals().get(SealedKeys(NEW).mark) == min(step, 4)
    if step < 5:
        with pytest.raises(StartRefused, match="--next-seal-key"):
            ground.sealer("old")
    ground.serve_both()
    assert ground.site.publish({TARGETS: ground.owner.targets()}).status_code == 200
    assert ground.rotate()[0] == 0
    done(ground, private)


def test_a_wrong_old_seal_key_is_refused_before_anything_is_changed(ground: Ground) -> None:
    before = ground.rows()
    with pytest.raises(StartRefused, match=r"other: is not the seal key of the stored keys"):
        ground.rotate(key="other")
    with pytest.raises(StartRefused, match=r"old: is the same seal key as that in"):
        ground.rotate(following="old")
    with pytest.raises(StartRefused, match="no such seal key; make one"):
        ground.rotate(following="none")
    with pytest.raises(StartRefused, match="names the file of the new seal key"):
        ground.rotate(following="")
    assert ground.rows() == before
    assert ground.keys().marks().current == SealedKeys(OLD).mark


def test_a_third_seal_key_does_not_come_in_between(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOT", 1)
    with pytest.raises(KeyboardInterrupt):
        reseal(ground.keys(), ground.sealer("old", "new"), served=False, at=NOW, step=_interrupted)
    with pytest.raises(StartRefused, match=r"1 stored key sealed with another seal key: trust-server seal rotate was"):
        ground.rotate(following="other")


def _interrupted() -> None:
    raise KeyboardInterrupt


def test_a_running_server_must_know_the_new_seal_key(ground: Ground) -> None:
    before = ground.rows()
    with (
        exclusive_use(ground.settings("old"), at=NOW, listen="http://127.0.0.1:4443"),
        pytest.raises(StartRefused, match="the server that runs does not know this seal key"),
    ):
        ground.rotate()
    assert ground.rows() == before


def test_a_server_that_was_started_anew_without_it_meanwhile_ends_it(ground: Ground) -> None:
    ground.serve_both()
    sealer = ground.sealer("old", "new")
    ground.keys().accept_next("")
    before = ground.rows()
    with pytest.raises(StartRefused, match="the server that runs does not know this seal key"):
        reseal(ground.keys(), sealer, served=True, at=NOW)
    assert ground.rows() == before


def test_no_server_starts_and_no_second_one_runs_meanwhile(ground: Ground) -> None:
    refusals: list[str] = []

    def meanwhile() -> None:
        try:
            ground.rotate()
        except StartRefused as error:
            refusals.append(str(error))

    settings = ground.settings("old", "new")
    with (
        module._alone(settings, NOW),
        module._known_to_servers(settings, ground.keys(), ground.sealer("old", "new"), NOW),
    ):
        meanwhile()
        with pytest.raises(StartRefused, match="another trust-server"), exclusive_use(settings, at=NOW, listen="x"):
            pass
    assert len(refusals) == 1
    assert f"trust-server seal rotate is at work on it already: process {os.getpid()} on" in refusals[0]


def test_a_key_that_cannot_be_opened_is_named_and_the_old_seal_key_stays(ground: Ground) -> None:
    engine = open_engine(ground.settings("old").database_url)
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"UPDATE online_key SET sealed = x'0100' WHERE role = 'snapshot' AND gun = '{GUN_N}'"))
    engine.dispose()
    status, said = ground.rotate()
    assert status == 1
    assert "the sealed snapshot key" in said
    assert "1 key cannot be opened, and the seal key until now stays the current one; trust-server check" in said
    assert ground.keys().marks().current == SealedKeys(OLD).mark
    assert ground.keys().seals() == {SealedKeys(NEW).mark: 3, SealedKeys(OLD).mark: 1}


def test_a_plan_says_what_would_be_done_and_changes_nothing(ground: Ground) -> None:
    before = ground.rows()
    status, said = ground.rotate("--plan")
    assert (status, said.splitlines()) == (
        0,
        [
            f"4 keys to be sealed anew with {ground.folder / 'new'}",
            "a server that runs does not know the new seal key: restart it with --next-seal-key first",
        ],
    )
    ground.serve_both()
    assert ground.rotate("--plan")[1].splitlines() == [f"4 keys to be sealed anew with {ground.folder / 'new'}"]
    assert ground.rows() == before
    ground.rotate()
    assert ground.rotate("--plan")[1].splitlines()[1:] == ["it is the current seal key already"]


def test_nothing_is_sealed_yet(tmp_path: Path) -> None:
    data = tmp_path / "data"
    open_store(Settings(data=data)).close()
    key = tmp_path / "new"
    key.write_bytes(base64.b64encode(NEW))
    key.chmod(0o600)
    result = CliRunner().invoke(app, ["seal", "rotate", "--data", str(data), "--next-seal-key", str(key)])
    assert isinstance(result.exception, StartRefused)
    assert "nothing is sealed yet" in str(result.exception)


def test_the_witness_and_what_was_offered_before_go_on_to_count(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ground.settings("old")
    open_published_log(settings, ground.store, ground.sealer("old")).close()
    owner, gun = Owner(ground.site.at), "example.com/begun"
    ground.site.learn_keys(owner, gun)
    ground.serve_both()
    answer = ground.site.publish(owner.first_upload(), gun=gun)
    assert answer.status_code == 200, answer.text
    assert ground.rotate()[0] == 0
    new = Settings(data=ground.data, seal_key=ground.folder / "new")
    log = open_published_log(new, ground.store, open_sealer(new, ground.store))
    assert set(log.load() or {}) >= {GUN_A, GUN(gun)}
    log.close()
    assert "another database" not in caplog.text
    with closing(existing_store(new)) as store:
        assert store.seal_mark() == SealedKeys(NEW).mark

"""A data folder on which a server has worked, and the command that checks it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import CliRunner
from tests.support.json_schema import faults
from tests.support.server_owner import NOW
from tests.support.server_site import Site
from trustdata.roles import ROOT, TARGETS, RoleName
from trustserver.__main__ import app
from trustserver.settings import Settings
from trustserver.storage.opening import open_published_log, open_sealer, open_store

ALICE = RoleName("targets/alice")


class Ground:
    """A data folder on which a server worked and ended: root 2, targets 2 that delegates to alice, a witness."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(data=folder)
        self._patch = patch
        self.at(NOW)
        with self.site() as site:
            self.owner = site.begin()
            self.owner.add_signer("alice")
            upload = {ROOT: self.owner.root(), TARGETS: self.owner.targets()}
            upload[ALICE] = self.owner.delegation(ALICE, {"1.0": "ab" * 32})
            site.publish(upload).raise_for_status()

    def at(self, now: datetime) -> None:
        self._patch.setattr("trustserver.process.kernel_clock.now", lambda: now)

    def site(self) -> Working:
        return Working(self.settings)

    def sql(self, statement: str) -> None:
        """Beside our own connections, which would keep references whole."""
        with contextlib.closing(sqlite3.connect(self.settings.data / "trust.db")) as connection, connection:
            connection.execute(statement)

    def backup(self) -> dict[str, bytes]:
        """The database's files, of a server that does not run."""
        return {path.name: path.read_bytes() for path in self.settings.data.glob("trust.db*")}

    def restore(self, backup: dict[str, bytes]) -> None:
        for path in self.settings.data.glob("trust.db*"):
            path.unlink()
        for name, content in backup.items():
            (self.settings.data / name).write_bytes(content)

    def check(self, *options: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["check", "--json", "--data", str(self.settings.data), *options])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        document: dict[str, Any] = json.loads(result.stdout)
        assert faults(document, "server-check") == []
        assert (result.exit_code == 0) == document["sound"]
        return result.exit_code, document

    def codes(self, *options: str) -> list[str]:
        return [finding["code"] for finding in self.check(*options)[1]["findings"]]


class Working:
    """A server at work on the folder, without its socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Site:
        with contextlib.ExitStack() as opened:
            store = opened.enter_context(contextlib.closing(open_store(self._settings)))
            sealer = open_sealer(self._settings, store)
            witness = opened.enter_context(contextlib.closing(open_published_log(self._settings, store, sealer)))
            self._opened = opened.pop_all()
        return Site(store, sealer=sealer, witness=witness)

    def __exit__(self, *_: object) -> None:
        self._opened.close()

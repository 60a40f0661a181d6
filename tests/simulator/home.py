"""A machine with files of its own, whose commands meet simulated servers: real pins, memory, caches, keys and lock."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.simulator.repository import RepositorySimulator
from tests.simulator.session import SimulatedRegistry
from tests.support.json_documents import check_printed
from trustcli import session as session_module
from trustcli.commands import inspect, verify
from trustcli.commands.table import dispatch
from trustcli.config.settings import Settings
from trustcli.console.output import Output
from trustcli.http.messages import Response
from trustcli.http.record import Observer
from trustcli.registry.client import Registry
from trustcli.session import Session
from trustdata.gun import GUN
from trustdata.wire import WireFormat

_HOMES: dict[Path, Home] = {}
"""By folder: commands make sessions of their own from the settings."""


class Home:
    """A machine with files, on servers that know their collections by their own names only.

    `registry_digest`: what every registry serves under every tag (`sha256:HEX`); None: none can be reached.
    `contents`: manifests and blobs of the registries by digest; None: they cannot be reached. `fetched`: what of them
    was asked for. `asked`: the collections whose servers were asked. `listed`: the rows of the server's list of all
    names; None: it does not let us see it. `out`, `err`: what the last command said.
    """

    def __init__(self, folder: Path, *sites: RepositorySimulator) -> None:
        self.folder = folder
        _HOMES[folder] = self
        self.sites = {site.gun: site for site in sites}
        self.at = sites[0].at
        self.environ: dict[str, str] = {}
        self.registry_digest: str | None = None
        self.contents: dict[str, bytes] | None = None
        self.fetched: list[str] = []
        self.asked: list[str] = []
        self.listed: list[dict[str, Any]] | None = None
        self.out, self.err = "", ""

    def copied(self, folder: Path) -> Home:
        """The same machine in another folder, with servers of its own: what is done to one changes nothing of it."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        home = Home(folder, *(site.copy() for site in self.sites.values()))
        home.at, home.environ, home.registry_digest = self.at, dict(self.environ), self.registry_digest
        home.contents = None if self.contents is None else dict(self.contents)
        return home

    def session(self, **settings: Any) -> Session:
        """One invocation; `settings` replace those of the machine."""
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        lock = self.folder / "trust.lock"
        known: dict[str, Any] = {
            "home": self.folder,
            "lock": lock if lock.exists() else None,
            "json": False,
            "non_interactive": True,
        }
        known |= settings
        output = Output(stdout=self.stdout, stderr=self.stderr, as_json=known["json"])
        return _HomeSession(settings=Settings(**known), environ=self.environ, output=output, at=self.at)

    def run(self, *arguments: str, **settings: Any) -> int:
        """Run a command; afterwards `out` and `err` have what it said."""
        session = self.session(**settings)
        name, *rest = arguments
        fast = {"verify": verify.main, "inspect": inspect.main}
        status = fast[name](session, rest) if name in fast else dispatch(session, arguments)
        self.out, self.err = self.stdout.getvalue(), self.stderr.getvalue()
        if session.output.as_json:
            check_printed(arguments, status, self.out)
        return status

    def registry(self) -> SimulatedRegistry:
        found = SimulatedRegistry(self.registry_digest, self.contents)
        found.asked = self.fetched
        return found

    def pin(self, *arguments: str) -> int:
        return self.run("pin", *arguments)


class _HomeSession(Session):
    def registry(self, observer: Observer | None = None) -> Registry:
        del observer
        return _HOMES[self.settings.home].registry()


class _Link:
    """Stands for a `ServerLink`: it knows which collection's server is meant."""

    def __init__(self, home: Home, gun: GUN) -> None:
        self.home, self.gun = home, gun
        self.name = "https://trust.example.com"
        self.tried = "without credentials"
        self.told_time = None

    def ask(self, method: str, target: str, *, scope: str, limit: int) -> Response:
        """Answer with a page of the list of names; nothing else is known here."""
        del method, scope, limit
        path, _, query = target.partition("?")
        if path != "/api/v1/collections":
            return _answer(404, {"code": "not-found"})
        if self.home.listed is None:
            return _answer(403, {"code": "forbidden"})
        after, size = parse_qs(query).get("after", [""])[0], int(parse_qs(query)["limit"][0])
        rows = [row for row in self.home.listed if row["gun"] > after][:size]
        following = rows[-1]["gun"] if len(rows) == size else None
        return _answer(200, {"collections": rows, "next": following})

    def close(self) -> None:
        pass


def _answer(status: int, document: object) -> Response:
    headers = [("content-type", "application/json")]
    return Response(status=status, headers=headers, body=json.dumps(document).encode())


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions meet the servers of their `Home`; a name that none of them has is a KeyError."""

    def link(session: Session, gun: GUN, server: str = "", observer: Observer | None = None) -> _Link:
        del server, observer
        home = _HOMES[session.settings.home]
        home.asked.append(gun)
        return _Link(home, gun)

    def remote(link: _Link, wire: WireFormat) -> RepositorySimulator:
        del wire
        return link.home.sites[link.gun]

    def offered(link: _Link, gun: GUN) -> WireFormat:
        return link.home.sites[gun].wire

    def other_format(link: _Link, gun: GUN, wire: WireFormat) -> str | None:
        offered = link.home.sites[gun].wire.name
        return None if offered == wire.name else offered

    monkeypatch.setattr(Session, "link", link)
    monkeypatch.setattr(session_module, "other_format_offered", other_format)
    monkeypatch.setattr(session_module, "remote_of", remote)
    monkeypatch.setattr(session_module, "offered_format", offered)

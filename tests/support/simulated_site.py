"""Simulated trust servers and a registry over real HTTP on loopback, for programs that are started."""

from __future__ import annotations

import json
import re
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.support.fake_registry import FakeRegistry
from tests.support.hostile_server import HostileServer, Request, Script, Wire, reply
from trustcli.state.pins import PinEntry
from trustdata.gun import GUN, parse_gun
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.formats import wire_named

TAG = "1.0"
"""What is signed, and of which the registry has the same content."""
MOVED, UNSIGNED = "moved", "unsigned"
"""Tags that mean OTHER in the registry; the first is signed as something else."""

ROLLED_BACK = "rolled-back"
"""A tag that means GOOD until somebody brings the past back."""


class SimulatedSite:
    """`serve` answers for every collection of `shown`, in the API of its format; a registry has the images.

    `away`: another address of the same server, which can be taken down (`away.stop()`). `clocks`: what the server says
    that the time is, in answers about a name. `past`: earlier states, to be shown again.
    """

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.shown: dict[GUN, RepositorySimulator] = {}
        self.past: dict[GUN, RepositorySimulator] = {}
        self.clocks: dict[GUN, datetime] = {}
        self.pins: dict[GUN, PinEntry] = {}
        self.registry = FakeRegistry(readers={"": set()})
        platforms = [self.registry.runnable(each, architecture=each) for each in ("amd64", "arm64")]
        tainted = self.registry.runnable("tainted platform", architecture="arm64")
        contents = {
            "good": self.registry.runnable("good"),
            "other": self.registry.runnable("other"),
            "index": self.registry.index(*platforms),
            "platform": platforms[0],
            "tainted": self.registry.runnable("tainted"),
            "mixed": self.registry.index(platforms[0], tainted),
            "tainted-platform": tainted,
            "same-platform": self.registry.index(platforms[0]),
        }
        self.digests = {name: stored.digest for name, stored in contents.items()}
        self.registry.tags = {
            TAG: self.digests["good"],
            MOVED: self.digests["other"],
            UNSIGNED: self.digests["other"],
            ROLLED_BACK: self.digests["good"],
            "index": self.digests["index"],
            "tainted": self.digests["tainted"],
            "mixed": self.digests["mixed"],
            "same-platform": self.digests["same-platform"],
        }
        self.images = HostileServer(self.registry)
        self.trust = HostileServer(self.serve)
        self.away = HostileServer(self.serve)

    def stop(self) -> None:
        for server in (self.images, self.trust, self.away):
            server.stop()

    # --- what owners do

    def name(self, repository: str) -> GUN:
        """The name of a repository, which everybody may read in the registry."""
        self.registry.readers[""].add(repository)
        return parse_gun(f"{self.images.netloc}/{repository}")

    def collection(self, gun: GUN, form: str, *, at: datetime | None = None) -> Owner:
        """Make a collection, whose first root is pinned."""
        server = RepositorySimulator(gun=gun, wire=wire_named(form), at=at or self.at)
        owner = Owner(server)
        self.shown[gun] = server
        self.pin(gun, owner.initialise("root"))
        return owner

    def sign(self, owner: Owner, tag: str, content: str, *children: str) -> None:
        """Sign content by its name here."""
        digests = [self.digests[name].removeprefix("sha256:") for name in (content, *children)]
        owner.sign(tag, *digests)

    def deny(self, gun: GUN, content: str) -> None:
        """Deny content by its name here."""
        Owner(self.shown[gun]).deny(self.digests[content].removeprefix("sha256:"))

    def pin(self, gun: GUN, pin: Pin) -> None:
        """What machines are told of the collection."""
        wire = self.shown[gun].wire
        self.pins[gun] = PinEntry(pin=pin, format=wire.name, recorded=self.at.replace(microsecond=0), how="pin")

    # --- the trust server

    def serve(self, request: Request, wire: Wire) -> None:
        """A `Script`."""
        path = urlsplit(request.target).path
        form, found = next(((form, match) for form, route in _ROUTES if (match := route.fullmatch(path))), ("", None))
        gun, file = (GUN(found["gun"]), found["file"]) if found else (GUN(""), "")
        shown = self.shown.get(gun)
        raw = shown.files.get(file) if shown is not None and shown.wire.name == form else None
        told = {"Date": format_datetime(self.clocks[gun], usegmt=True)} if gun in self.clocks else {}
        wire.send(_ABSENT if raw is None else reply(200, raw, {"Content-Type": "application/json", **told}))

    def lie(self, repository: str, digest: str) -> None:
        """Let the registry answer with other bytes where it is asked for this content."""
        other = self.registry.manifests[self.digests["other"]]

        def lying(_: Request, wire: Wire) -> None:
            wire.send(reply(200, other.raw, {"Content-Type": other.kind}))

        script: Script = lying
        self.registry.answers[f"GET /v2/{repository}/manifests/{digest}"] = script


_ROUTES = (
    ("tuf-1.0", re.compile(r"/tuf/(?P<gun>.+)/metadata/(?P<file>[^/]+)")),
    ("notary-v1", re.compile(r"/v2/(?P<gun>.+)/_trust/tuf/(?P<file>.+)")),
)
_ABSENT = reply(
    404,
    json.dumps({"code": "NOT_FOUND", "errors": [{"code": "METADATA_NOT_FOUND", "message": "no such file"}]}).encode(),
    {"Content-Type": "application/problem+json"},
)
"""An absence as a trust server of either format states it."""

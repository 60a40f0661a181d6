"""`doctor` never contradicts what `sign` and `verify` just did: a table of situations, each asked both ways."""

from __future__ import annotations

import base64
import io
import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.registries import REPOSITORY, token
from tests.unit.cli_net.certificates import Authority, make_authority
from tests.unit.cli_net.hostile_server import HostileServer, Request, Script, Wire, json_reply, reply
from tests.unit.cli_net.users import FILE
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.settings import ServerChoice, Settings
from trustcli.console.output import Output
from trustcli.doctor.failing import guarded
from trustcli.doctor.findings import Finding
from trustcli.doctor.registry import check_registry
from trustcli.doctor.trust_server import check_trust_server
from trustcli.http.network import Network
from trustcli.http.record import Observer
from trustcli.http.time_budget import Timeouts
from trustcli.registry.manifest import OCI_MANIFEST
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.gun import parse_gun

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ALICE = {"auth": base64.b64encode(b"alice:hunter2").decode()}
BASIC = "Basic " + ALICE["auth"]
IMAGE = reply(200, FILE, {"Content-Type": OCI_MANIFEST})
TOKEN = token({REPOSITORY: ["pull", "push"]})
NOT_TLS = b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all"
QUICK = Timeouts(connect=5, read=0.3, overall=5)


class QuickSession(Session):
    """Has no patience, so that a test of silence takes none."""

    def network(self, observer: Observer | None = None) -> Network:
        return replace(super().network(observer), timeouts=QUICK)


class World:
    """The servers, files and settings of one situation; `host` is the registry's, as a user types it."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.host = ""
        self.server = ""
        self.environ = {"HOME": str(folder), "DOCKER_CONFIG": str(folder / "docker"), "PATH": str(folder / "bin")}
        self.insecure: tuple[str, ...] = ()
        self.cacert: Path | None = None
        self.started: list[HostileServer] = []

    def serve(self, script: Script, *, tls: bool = False) -> HostileServer:
        context = self.authority.server_context(self.folder) if tls else None
        self.started.append(HostileServer(script, tls=context))
        return self.started[-1]

    def registry(self, script: Script, *, tls: bool = False) -> HostileServer:
        """The registry of this situation; `tls` with a CA that is known here."""
        if tls:
            self.cacert = self.authority.file
        server = self.serve(script, tls=tls)
        self.host = server.netloc
        return server

    def dead(self) -> str:
        """An address at which nobody listens."""
        server = self.serve(lambda _, wire: wire.close())
        server.stop()
        return server.netloc

    def log_in(self, **entry: str) -> None:
        """What `docker login` leaves for the registry."""
        (self.folder / "docker").mkdir(exist_ok=True)
        config = json.dumps({"auths": {self.host: entry or ALICE}})
        (self.folder / "docker" / "config.json").write_text(config)

    def helper(self, body: str) -> None:
        """A credential helper of this content, for every server."""
        (self.folder / "docker").mkdir(exist_ok=True)
        (self.folder / "bin").mkdir()
        (self.folder / "docker" / "config.json").write_text(json.dumps({"credsStore": "mine"}))
        program = self.folder / "bin" / "docker-credential-mine"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def session(self) -> Session:
        settings = Settings(
            home=self.folder,
            server=self.server,
            server_source="TRUST_SERVER",
            insecure_registries=self.insecure,
            cacert=self.cacert,
        )
        output = Output(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False)
        return QuickSession(settings=settings, environ=self.environ, output=output, at=datetime.now(UTC))


@pytest.fixture
def world(tmp_path: Path, authority: Authority) -> Iterator[World]:
    made = World(tmp_path, authority)
    yield made
    for server in made.started:
        server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


# --- registries


def registry(
    *,
    image: bytes = IMAGE,
    ping: bytes = reply(200),
    tags: bytes | None = None,
    only: str = "",
    challenge: str = "",
    wanted: str = "",
) -> Script:
    """A registry that has `image` under every tag (under `only`, if given), after `challenge` to who lacks `wanted`."""
    there = json_reply(200, {"name": REPOSITORY, "tags": [only or "latest"]})
    absent = json_reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})

    def script(request: Request, wire: Wire) -> None:
        if challenge and request.headers.get("authorization") != wanted:
            wire.send(json_reply(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": challenge}))
        elif "/manifests/" in request.target:
            wire.send(image if not only or request.target.endswith(f"/{only}") else absent)
        elif "/tags/" in request.target:
            wire.send(tags or there)
        elif request.target == "/v2/" and ping == SILENCE:
            wire.stopping.wait(10)
        else:
            wire.send(ping)

    return script


SILENCE = b"silence"


def tokens(*, wants: str = "", refuses: str = "\0", status: int = 401, silent: bool = False) -> Script:
    """A token server that gives TOKEN to who sends `wants` as Authorization, unless the scope holds `refuses`."""

    def script(request: Request, wire: Wire) -> None:
        if silent:
            wire.stopping.wait(10)
        elif request.headers.get("authorization", "") != wants or refuses in request.target:
            wire.send(json_reply(status, {"details": "no"}))
        else:
            wire.send(json_reply(200, {"token": TOKEN}))

    return script


def identity_tokens(request: Request, wire: Wire) -> None:
    """Gives a token for the right identity token."""
    good = request.method == "POST" and b"refresh_token=idt" in request.body
    wire.send(json_reply(200, {"access_token": TOKEN}) if good else json_reply(401, {}))


def guarded_by(world: World, token_server: Script, *, tls: bool = False, host: str = "127.0.0.1", **more: Any) -> None:
    """A registry with a token server, which may have another name."""
    realm = f"http://{host}:{world.serve(token_server).port}/token"
    world.registry(registry(challenge=f'Bearer realm="{realm}",service="r"', wanted=f"Bearer {TOKEN}", **more), tls=tls)


def through_proxy(world: World, *, then: Script, connect: bytes = NOT_TLS, https: str = "") -> None:
    """A registry far away that speaks no TLS, behind a proxy; `https`: another one for that."""

    def script(request: Request, wire: Wire) -> None:
        if request.method == "CONNECT":
            wire.send(connect)
            wire.close()
        else:
            then(replace(request, target=request.target.removeprefix(f"http://{world.host}")), wire)

    proxy = world.serve(script)
    world.host = "registry.example.com:5000"
    world.environ |= {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": https or proxy.url}


def redirecting(location: Callable[[World], str], *, tls: bool = False) -> Callable[[World], None]:
    """Manifests are elsewhere."""

    def make(world: World) -> None:
        to = location(world)
        world.registry(registry(image=reply(307, headers={"Location": to})), tls=tls)

    return make


@dataclass(frozen=True, kw_only=True)
class Situation:
    """`make` sets it up. `signs`: whether `sign` gets its manifest; else `wrong` is the check that says why not, in the
    very sentence of `sign` if `same_words`. `notes`: checks that may only be notes.
    """

    name: str
    make: Callable[[World], object]
    signs: bool = True
    wrong: str = ""
    same_words: bool = False
    notes: tuple[str, ...] = ()


def _far_insecure(world: World, script: Script) -> None:
    through_proxy(world, then=script)
    world.insecure = ("registry.example.com:5000",)


def _far_insecure_guarded(world: World, *, anonymous: bool) -> None:
    """The password stays here: https is not spoken. The token server gives to anybody, or to nobody."""
    _far_insecure(world, lambda _request, _wire: None)
    script = registry(challenge=f'Bearer realm="http://{world.host}/token"', wanted=f"Bearer {TOKEN}")
    gives = tokens(wants="" if anonymous else "never")

    def both(request: Request, wire: Wire) -> None:
        (gives if request.target.startswith("/token") else script)(request, wire)

    world.started.pop().stop()
    _far_insecure(world, both)
    world.log_in()


def _tunnel(world: World) -> None:
    context = world.authority.server_context(world.folder, host="registry.example.com")

    def script(request: Request, wire: Wire) -> None:
        assert request.method == "CONNECT"
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with context.wrap_socket(wire.sock, server_side=True) as inner:
            target = inner.recv(65536).split()[1].decode()
            inner.sendall(IMAGE if "/manifests/" in target else reply(200))
        wire.close()

    world.host = "registry.example.com"
    world.cacert = world.authority.file
    world.environ["HTTPS_PROXY"] = world.serve(script).url


def _stranger_ca(world: World) -> None:
    world.host = world.serve(registry(), tls=True).netloc


def _token_server_with_a_stranger_ca(world: World) -> None:
    realm = world.serve(tokens(), tls=True).url
    world.registry(registry(challenge=f'Bearer realm="{realm}/token"', wanted=f"Bearer {TOKEN}"))


def _dead_token_server(world: World) -> None:
    realm = f"http://{world.dead()}/token"
    world.registry(registry(challenge=f'Bearer realm="{realm}"', wanted=f"Bearer {TOKEN}"))


def _basic(world: World, password: str, **more: Any) -> None:
    world.registry(registry(challenge='Basic realm="x"', wanted=BASIC, **more))
    world.log_in(auth=base64.b64encode(f"alice:{password}".encode()).decode())


def _cut_off(_: Request, wire: Wire) -> None:
    wire.send(reply(200, b"x", {"Content-Length": "9"}))
    wire.close()


def _silent(_: Request, wire: Wire) -> None:
    wire.stopping.wait(10)


def _logged_in(world: World, make: Callable[[World], object], **entry: str) -> None:
    make(world)
    world.log_in(**entry)


def _helper(world: World, make: Callable[[World], object], body: str) -> None:
    make(world)
    world.helper(body)


SITUATIONS = (
    # the scheme
    Situation(name="plain http on this machine", make=lambda w: w.registry(registry())),
    Situation(name="https with a private CA", make=lambda w: w.registry(registry(), tls=True)),
    Situation(name="https with a stranger's CA", make=_stranger_ca, signs=False, wrong="certificate"),
    Situation(
        name="plain http far away",
        make=lambda w: through_proxy(w, then=registry()),
        signs=False,
        wrong="registry",
    ),
    Situation(name="an insecure registry", make=lambda w: _far_insecure(w, registry())),
    Situation(
        name="an insecure registry, credentials stay here, and anybody may read",
        make=lambda w: _far_insecure_guarded(w, anonymous=True),
        notes=("credentials",),
    ),
    Situation(
        name="an insecure registry, credentials stay here, and nobody may read",
        make=lambda w: _far_insecure_guarded(w, anonymous=False),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="nobody there", make=lambda w: setattr(w, "host", w.dead()), signs=False, wrong="registry", same_words=True
    ),
    # proxies
    Situation(name="a tunnel", make=_tunnel),
    Situation(
        name="a proxy that wants to know who asks",
        make=lambda w: through_proxy(w, then=registry(), connect=reply(407)),
        signs=False,
        wrong="registry",
    ),
    Situation(
        name="a proxy that is none",
        make=lambda w: through_proxy(w, then=registry(), https="socks5://x"),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    # token servers
    Situation(name="a token for anybody", make=lambda w: guarded_by(w, tokens()), notes=("credentials",)),
    Situation(
        name="a token server on another host",
        make=lambda w: _logged_in(w, lambda w: guarded_by(w, tokens(wants=BASIC), host="localhost")),
        notes=("challenge",),
    ),
    Situation(
        name="a token server that refuses the password",
        make=lambda w: _logged_in(w, lambda w: guarded_by(w, tokens(wants="Basic x"))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server that gives a right to pull, and is angry about one to push",
        make=lambda w: guarded_by(w, tokens(refuses="push", status=403)),
        notes=("credentials", "scopes"),
    ),
    Situation(
        name="a token server that is down", make=_dead_token_server, signs=False, wrong="access", same_words=True
    ),
    Situation(
        name="a token server that fails",
        make=lambda w: guarded_by(w, tokens(wants="never", status=503)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server that says nothing",
        make=lambda w: guarded_by(w, tokens(silent=True)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server with a stranger's CA",
        make=_token_server_with_a_stranger_ca,
        signs=False,
        wrong="certificate",
    ),
    Situation(
        name="a token server in the clear, from https",
        make=lambda w: guarded_by(w, tokens(), tls=True, host="auth.example.com"),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a realm that is none",
        make=lambda w: w.registry(registry(challenge='Bearer realm="ftp://x"', wanted="never")),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a challenge that nobody knows",
        make=lambda w: w.registry(registry(challenge="Negotiate", wanted="never")),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    # credentials
    Situation(
        name="an identity token",
        make=lambda w: _logged_in(w, lambda w: guarded_by(w, identity_tokens), identitytoken="idt"),
    ),
    Situation(
        name="an identity token that has run out",
        make=lambda w: _logged_in(w, lambda w: guarded_by(w, identity_tokens), identitytoken="old"),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(name="a password", make=lambda w: _basic(w, "hunter2")),
    Situation(name="a wrong password", make=lambda w: _basic(w, "wrong"), signs=False, wrong="access"),
    Situation(
        name="no password where one is wanted",
        make=lambda w: w.registry(registry(challenge="Basic", wanted=BASIC)),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="a credential helper that fails",
        make=lambda w: _helper(w, lambda w: guarded_by(w, tokens()), "echo broken; exit 1"),
        signs=False,
        wrong="credentials",
        same_words=True,
    ),
    Situation(
        name="a credential helper that fails, and is not needed",
        make=lambda w: _helper(w, lambda w: w.registry(registry()), "echo broken; exit 1"),
        notes=("credentials",),
    ),
    # redirects
    Situation(name="manifests elsewhere", make=redirecting(lambda w: f"{w.serve(registry()).url}/manifests/x")),
    Situation(
        name="manifests where nobody is",
        make=redirecting(lambda w: f"http://{w.dead()}/x"),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="manifests where something is asked for",
        make=redirecting(lambda w: w.serve(registry(challenge="Basic", wanted=BASIC)).url),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="manifests in the clear",
        make=redirecting(lambda w: w.serve(registry()).url, tls=True),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="manifests that go round in circles",
        make=lambda w: w.registry(registry(image=reply(302, headers={"Location": "/v2/manifests/x"}))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="/v2/ that leads to a page",
        make=lambda w: w.registry(registry(ping=reply(302, headers={"Location": "/manifests/x"}))),
    ),
    Situation(
        name="/v2/ that goes round in circles",
        make=lambda w: w.registry(registry(ping=reply(302, headers={"Location": "/v2/"}))),
        notes=("registry",),
    ),
    # what is at /v2/
    Situation(name="no /v2/", make=lambda w: w.registry(registry(ping=reply(404))), notes=("registry",)),
    Situation(name="a slow /v2/", make=lambda w: w.registry(registry(ping=SILENCE)), notes=("registry",)),
    Situation(
        name="a huge /v2/", make=lambda w: w.registry(registry(ping=reply(200, b"x" * 300_000))), notes=("registry",)
    ),
    # what is not there
    Situation(name="no such tag but another", make=lambda w: w.registry(registry(only="1.0"))),
    Situation(
        name="no list of tags", make=lambda w: w.registry(registry(tags=reply(405), only="1.0")), notes=("access",)
    ),
    Situation(
        name="nothing at all",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(404))),
        signs=False,
        wrong="registry",
    ),
    Situation(
        name="may not be read",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(403))),
        signs=False,
        wrong="access",
    ),
    # what comes is of no use
    Situation(
        name="a registry that fails",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(503))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a registry that says nothing",
        make=lambda w: w.registry(_silent),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="a digest that is not that of the bytes",
        make=lambda w: w.registry(registry(image=reply(200, FILE, {"Docker-Content-Digest": f"sha256:{'0' * 64}"}))),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="a manifest without end",
        make=lambda w: w.registry(registry(image=reply(200, b"x" * 5_000_000))),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="a manifest without end, behind a password",
        make=lambda w: _basic(w, "hunter2", image=reply(200, b"x" * 5_000_000)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a manifest that is cut off",
        make=lambda w: w.registry(_cut_off),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
)


def sign(session: Session, tag: str) -> TrustError | None:
    """The first step of `trust sign`."""
    reference = parse_reference(f"{_host(session)}/{REPOSITORY}:{tag}")
    client = session.registry()
    try:
        client.resolve(reference)
    except TrustError as failure:
        return failure
    finally:
        client.close()
    return None


def _host(session: Session) -> str:
    assert isinstance(session, QuickSession)
    return session.environ["REGISTRY"]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_doctor_and_sign_agree_about_registries(world: World, situation: Situation) -> None:
    situation.make(world)
    world.environ["REGISTRY"] = world.host
    session = world.session()
    failure = sign(session, "1.0")
    assert (failure is None) is situation.signs, str(failure)
    reference = parse_reference(f"{world.host}/{REPOSITORY}")
    findings = list(guarded("registry", lambda: check_registry(session, reference)))
    _agree(situation, findings, failure)


def _agree(situation: Situation, findings: list[Finding], failure: TrustError | None) -> None:
    wrong = [finding for finding in findings if finding.severity == "wrong"]
    told = "\n".join(f"{f.severity} {f.check}: {f.text}" for f in findings)
    for secret in ("hunter2", "idt", TOKEN):
        assert secret not in told
    if failure is None:
        assert not wrong, told
        noted = {finding.check for finding in findings if finding.severity == "note"} - {"clock"}
        assert noted == set(situation.notes), told
        return
    assert situation.wrong in {finding.check for finding in wrong}, told
    if situation.same_words:
        said = str(failure).replace(":1.0", ":latest")
        assert any(said in finding.text for finding in wrong), f"{failure}\n{told}"


# --- trust servers


READY = json_reply(200, {"status": "ready"})
GUN = parse_gun("registry.example.com/team/app")


def trust_server(*, ready: bytes = READY, files: bytes = reply(200, FILE), challenge: str = "") -> Script:
    """A trust server, as far as both look at it; everything behind a password, if it has a challenge."""

    def script(request: Request, wire: Wire) -> None:
        if challenge and request.headers.get("authorization") != BASIC:
            wire.send(reply(401, headers={"WWW-Authenticate": challenge}))
        elif request.target == "/readyz" and ready == SILENCE:
            wire.stopping.wait(10)
        else:
            wire.send(ready if request.target == "/readyz" else files)

    return script


def _at(script: Script, *, tls: bool = False, known: bool = True) -> Callable[[World], None]:
    def make(world: World) -> None:
        world.server = (world.registry if known else world.serve)(script, tls=tls).url

    return make


def _behind_a_proxy(connect: bytes) -> Callable[[World], None]:
    def make(world: World) -> None:
        world.environ["HTTPS_PROXY"] = world.serve(lambda _, wire: wire.send(connect)).url
        world.server = "https://trust.example.com"

    return make


TRUST_SERVERS = (
    Situation(name="ready", make=_at(trust_server())),
    Situation(name="over https", make=_at(trust_server(), tls=True)),
    Situation(
        name="a stranger's CA", make=_at(trust_server(), tls=True, known=False), signs=False, wrong="certificate"
    ),
    Situation(name="a mirror of the files alone", make=_at(trust_server(ready=reply(404))), notes=("trust-server",)),
    Situation(name="a slow /readyz", make=_at(trust_server(ready=SILENCE)), notes=("trust-server",)),
    Situation(
        name="/readyz for some only",
        make=_at(trust_server(ready=reply(401, headers={"WWW-Authenticate": "Basic"}))),
        notes=("trust-server",),
    ),
    Situation(
        name="/readyz behind a redirect",
        make=_at(trust_server(ready=reply(307, headers={"Location": "/healthz"}), files=READY)),
    ),
    Situation(
        name="/readyz on another server",
        make=_at(trust_server(ready=reply(307, headers={"Location": "https://elsewhere.example.com"}))),
        notes=("trust-server",),
    ),
    Situation(
        name="a password for everything",
        make=lambda w: _logged_in(w, _at(trust_server(challenge="Basic"))),
    ),
    Situation(
        name="a password that nobody stored",
        make=_at(trust_server(challenge="Basic")),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a proxy that refuses",
        make=_behind_a_proxy(reply(403)),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="nobody there",
        make=lambda w: setattr(w, "server", f"http://{w.dead()}"),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a credential helper that fails",
        make=lambda w: _helper(w, _at(trust_server(challenge="Basic")), "exit 1"),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a credential helper that fails, and is not needed",
        make=lambda w: _helper(w, _at(trust_server()), "exit 1"),
    ),
)


@pytest.mark.parametrize("situation", TRUST_SERVERS, ids=lambda situation: situation.name)
def test_doctor_and_verify_agree_about_trust_servers(world: World, situation: Situation) -> None:
    situation.make(world)
    session = world.session()
    failure = verify(session)
    assert (failure is None) is situation.signs, str(failure)
    choice = ServerChoice(url=world.server, source="TRUST_SERVER")
    findings = list(guarded("trust-server", lambda: check_trust_server(session, choice, verified=failure is None)))
    _agree(situation, findings, failure)


def verify(session: Session) -> TrustError | None:
    """The first step of `trust verify`."""
    remote = TufRemote(session.link(GUN))
    try:
        remote.fetch(GUN, "timestamp.json", limit=16_384)
    except TrustError as failure:
        return failure
    finally:
        remote.close()
    return None


def test_the_table_holds_both_verdicts_of_every_kind() -> None:
    kinds: Mapping[bool, int] = {
        verdict: sum(situation.signs is verdict for situation in (*SITUATIONS, *TRUST_SERVERS))
        for verdict in (True, False)
    }
    assert min(kinds.values()) >= 20

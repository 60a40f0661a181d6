"""What can be the matter with a registry, a trust server and the way to them: the pieces of the table of situations."""

from __future__ import annotations

import base64
import io
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority
from tests.support.hostile_server import HostileServer, Request, Script, Wire, json_reply, reply
from tests.support.network_users import FILE
from tests.support.token_registries import REPOSITORY, token
from trustcli.config.settings import Settings
from trustcli.console.output import Output
from trustcli.doctor.findings import Finding
from trustcli.http.network import Network
from trustcli.http.patience import COMMAND_SECONDS, Patience
from trustcli.http.record import Observer
from trustcli.registry.manifest import OCI_MANIFEST
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.gun import parse_gun

ALICE = {"auth": base64.b64encode(b"alice:hunter2").decode()}
BASIC = "Basic " + ALICE["auth"]
IMAGE = reply(200, FILE, {"Content-Type": OCI_MANIFEST})
TOKEN = token({REPOSITORY: ["pull", "push"]})
PONG = reply(200)
NOT_TLS = b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all"


class StoppedClock:
    """Monotonic seconds that pass only when a slow server says so: no test waits, and none depends on speed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ClockedSession(Session):
    """A session with that clock; `REGISTRY` in its environment is the registry's host."""

    clock: StoppedClock

    def network(self, observer: Observer | None = None) -> Network:
        patience = Patience(COMMAND_SECONDS, sleep=lambda _: None)
        return replace(super().network(observer), clock=self.clock, patience=patience)


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
        self.clock = StoppedClock()

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
        self.logins({self.host: entry or ALICE})

    def logins(self, auths: Mapping[str, Mapping[str, str]]) -> None:
        """What `docker login` leaves for several."""
        (self.folder / "docker").mkdir(exist_ok=True)
        (self.folder / "docker" / "config.json").write_text(json.dumps({"auths": auths}))

    def helper(self, body: str) -> None:
        """A credential helper of this content, for every server."""
        (self.folder / "docker").mkdir(exist_ok=True)
        (self.folder / "bin").mkdir()
        (self.folder / "docker" / "config.json").write_text(json.dumps({"credsStore": "mine"}))
        program = self.folder / "bin" / "docker-credential-mine"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def session(self) -> ClockedSession:
        settings = Settings(
            home=self.folder,
            server=self.server,
            server_source="TRUST_SERVER",
            insecure_registries=self.insecure,
            cacert=self.cacert,
        )
        output = Output(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False)
        session = ClockedSession(
            settings=settings, environ=self.environ | {"REGISTRY": self.host}, output=output, at=datetime.now(UTC)
        )
        session.clock = self.clock
        return session

    def slow(self, _: Request, wire: Wire) -> None:
        """A script: send a byte when more time has passed than anybody waits, and nothing after it."""
        self.clock.now += 1000
        wire.send(b"H")
        wire.sock.recv(1)  # until the client hangs up
        wire.close()


# --- registries


def registry(
    *,
    image: bytes = IMAGE,
    ping: bytes | Script = PONG,
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
        elif callable(ping):
            ping(request, wire)
        else:
            wire.send(ping)

    return script


def tokens(*, wants: str = "", refuses: str = "\0", status: int = 401) -> Script:
    """A token server that gives TOKEN to who sends `wants` as Authorization, unless the scope holds `refuses`."""

    def script(request: Request, wire: Wire) -> None:
        if request.headers.get("authorization", "") != wants or refuses in request.target:
            wire.send(json_reply(status, {"details": "no"}))
        else:
            wire.send(json_reply(200, {"token": TOKEN}))

    return script


def identity_tokens(request: Request, wire: Wire) -> None:
    """Gives a token for the right identity token."""
    good = request.method == "POST" and b"refresh_token=idt" in request.body
    wire.send(json_reply(200, {"access_token": TOKEN}) if good else json_reply(401, {}))


def guarded_by(
    world: World,
    token_server: Script,
    *,
    tls: bool = False,
    host: str = "127.0.0.1",
    scope: str = "",
    **more: Any,
) -> None:
    """A registry with a token server, which may have another name. `scope`: what its challenge names, if it does."""
    realm = f"http://{host}:{world.serve(token_server).port}/token"
    challenge = f'Bearer realm="{realm}",service="r"' + (f',scope="{scope}"' if scope else "")
    world.registry(registry(challenge=challenge, wanted=f"Bearer {TOKEN}", **more), tls=tls)


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


def agree(situation: Situation, findings: list[Finding], failure: TrustError | None) -> None:
    """What doctor found is what the command met. No finding holds a secret."""
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


def elsewhere_with_a_login(world: World) -> None:
    """A vanity name: all of it is on another host, where somebody is logged in, as is somebody else at the first."""
    other = world.serve(registry(challenge='Basic realm="x"', wanted=BASIC))

    def script(request: Request, wire: Wire) -> None:
        assert "authorization" not in request.headers
        wire.send(reply(307, headers={"Location": f"{other.url}{request.target}"}))

    world.registry(script)
    theirs = {"auth": base64.b64encode(b"bob:0ther").decode()}
    world.logins({other.netloc: ALICE, world.host: theirs})


def hidden(status: int) -> Callable[[World], None]:
    """A registry that challenges at /v2/ alone, and hides its images from strangers."""

    def script(request: Request, wire: Wire) -> None:
        if request.headers.get("authorization") == BASIC:
            registry()(request, wire)
        elif request.target == "/v2/":
            wire.send(reply(401, headers={"WWW-Authenticate": "Basic"}))
        else:
            wire.send(reply(status))

    return lambda world: logged_in(world, lambda world: world.registry(script))


def open_ping(world: World) -> None:
    """/v2/ is let through, and the manifest challenges."""
    guarded = registry(challenge='Basic realm="x"', wanted=BASIC)

    def script(request: Request, wire: Wire) -> None:
        (registry() if request.target == "/v2/" else guarded)(request, wire)

    world.registry(script)
    world.log_in()


def far_insecure(world: World, script: Script) -> None:
    through_proxy(world, then=script)
    world.insecure = ("registry.example.com:5000",)


def far_insecure_guarded(world: World, *, anonymous: bool) -> None:
    """The password stays here: https is not spoken. The token server gives to anybody, or to nobody."""
    far_insecure(world, lambda _request, _wire: None)
    script = registry(challenge=f'Bearer realm="http://{world.host}/token"', wanted=f"Bearer {TOKEN}")
    gives = tokens(wants="" if anonymous else "never")

    def both(request: Request, wire: Wire) -> None:
        (gives if request.target.startswith("/token") else script)(request, wire)

    world.started.pop().stop()
    far_insecure(world, both)
    world.log_in()


def tunnel(world: World) -> None:
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


def stranger_ca(world: World) -> None:
    world.host = world.serve(registry(), tls=True).netloc


def token_server_with_a_stranger_ca(world: World) -> None:
    realm = world.serve(tokens(), tls=True).url
    world.registry(registry(challenge=f'Bearer realm="{realm}/token"', wanted=f"Bearer {TOKEN}"))


def dead_token_server(world: World) -> None:
    realm = f"http://{world.dead()}/token"
    world.registry(registry(challenge=f'Bearer realm="{realm}"', wanted=f"Bearer {TOKEN}"))


def basic(world: World, password: str, **more: Any) -> None:
    world.registry(registry(challenge='Basic realm="x"', wanted=BASIC, **more))
    world.log_in(auth=base64.b64encode(f"alice:{password}".encode()).decode())


def cut_off(_: Request, wire: Wire) -> None:
    wire.send(reply(200, b"x", {"Content-Length": "9"}))
    wire.close()


def logged_in(world: World, make: Callable[[World], object], **entry: str) -> None:
    make(world)
    world.log_in(**entry)


def helper(world: World, make: Callable[[World], object], body: str) -> None:
    make(world)
    world.helper(body)


PAGE = reply(200, b"<!doctype html><title>Sign in</title>", {"Content-Type": "text/html", "Server": "nginx"})


def a_sign_in_page(request: Request, wire: Wire) -> None:
    """What a single sign-on before a registry does with every request."""
    wire.send(PAGE if request.target == "/login" else reply(302, headers={"Location": "/login"}))


def logged_in_as(*, name: str, auths: bool = True) -> Callable[[World], None]:
    """A login under another spelling of the host (`{port}` in `name`), in today's file or in the older one."""

    def make(world: World) -> None:
        port = world.serve(registry(challenge="Basic", wanted=BASIC)).port
        world.host = f"localhost:{port}"
        world.logins({name.format(port=port): ALICE})
        if not auths:
            (world.folder / "docker" / "config.json").write_text(json.dumps({name.format(port=port): ALICE}))

    return make


def far_behind(proxy: str) -> Callable[[World], None]:
    """A registry far away, with this in HTTPS_PROXY."""

    def make(world: World) -> None:
        world.host = "registry.example.com"
        world.environ["HTTPS_PROXY"] = proxy

    return make


def asks_for(challenge: str) -> Callable[[World], None]:
    """A registry that takes the password of who is logged in, and says so in this way."""
    return lambda world: logged_in(world, lambda w: w.registry(registry(challenge=challenge, wanted=BASIC)))


def refuses_its_tokens(world: World) -> None:
    """A registry, or a trust server, that does not know the keys of its own token server."""
    realm = world.serve(tokens()).url
    script = registry(challenge=f'Bearer realm="{realm}/token",error="invalid_token"', wanted="never")
    world.server = world.registry(script).url


def announced(*, hints: bytes) -> Script:
    """A registry before whose answers others come that only announce them."""

    def script(request: Request, wire: Wire) -> None:
        wire.send(hints)
        registry()(request, wire)

    return script


def on_another_path(world: World) -> None:
    """A redirect that names a path alone, as from a tag to what lies in a store behind the same name."""

    def script(request: Request, wire: Wire) -> None:
        elsewhere = reply(307, headers={"Location": "/store/latest"})
        registry(image=elsewhere)(request, wire) if request.target != "/store/latest" else wire.send(IMAGE)

    world.registry(script)


def login_in_bytes(pair: bytes) -> Callable[[World], None]:
    """A registry that wants exactly these bytes of user name and password, and a login with them."""
    encoded = base64.b64encode(pair).decode()

    def make(world: World) -> None:
        world.registry(registry(challenge='Basic realm="x"', wanted=f"Basic {encoded}"))
        world.log_in(auth=encoded)

    return make


def an_empty_helper(world: World) -> None:
    """For this registry no helper program: docker reads the file then, whatever there is for all others."""
    world.registry(registry(challenge='Basic realm="x"', wanted=BASIC))
    world.logins({world.host: ALICE})
    file = world.folder / "docker" / "config.json"
    content = json.loads(file.read_text()) | {"credsStore": "nowhere", "credHelpers": {world.host: ""}}
    file.write_text(json.dumps(content))


# --- trust servers


READY = json_reply(200, {"status": "ready"})
GUN = parse_gun("registry.example.com/team/app")


def trust_server(*, ready: bytes | Script = READY, files: bytes = reply(200, FILE), challenge: str = "") -> Script:
    """A trust server, as far as both look at it; everything behind a password, if it has a challenge."""

    def script(request: Request, wire: Wire) -> None:
        if challenge and request.headers.get("authorization") != BASIC:
            wire.send(reply(401, headers={"WWW-Authenticate": challenge}))
        elif request.target != "/readyz":
            wire.send(files)
        elif callable(ready):
            ready(request, wire)
        else:
            wire.send(ready)

    return script


def at(script: Script, *, tls: bool = False, known: bool = True) -> Callable[[World], None]:
    def make(world: World) -> None:
        world.server = (world.registry if known else world.serve)(script, tls=tls).url

    return make


def behind_a_proxy(connect: bytes) -> Callable[[World], None]:
    def make(world: World) -> None:
        world.environ["HTTPS_PROXY"] = world.serve(lambda _, wire: wire.send(connect)).url
        world.server = "https://trust.example.com"

    return make

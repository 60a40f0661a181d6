"""Who may pull through the proxy: the registry decides for each caller, by tokens or by passwords.

Debian's docker-registry, a token server whose certificate it trusts, and the programs that pull. Whom the registry does
not let in is told what the registry says, and nothing else: the same of a tag that is signed, of one that is not, and
of one that is not there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support import token_server
from tests.support.images import BuiltImage, build_image
from tests.support.programs import PASSWORD, USER, RunningProgram, push, start_registry
from tests.support.proxy_program import ProxyProgram, proxy_running
from tests.support.proxy_stage import Got
from tests.support.pulling_programs import Containers, Docker, Done
from tests.support.stage import People
from tests.support.token_registries import docker_config
from tests.support.token_server import SERVICE, TokenServer, start_token_server
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
Who = tuple[str, str]
NOBODY: Who = ("", "")
TAGS = ("1.0", "unsigned", "none")
"""Signed; not signed; not there."""
_REFUSED = "unauthorized|authentication required|denied|incorrect username|no basic auth credentials"
"""What programs say of a registry that does not let them in."""


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A registry that asks who somebody is. `strangers`: whom it does not let read. `tokens`: who gives tokens."""

    registry: RunningProgram
    pusher: Who
    reader: Who
    strangers: tuple[Who, ...]
    tokens: TokenServer | None = None


@pytest.fixture(scope="module", params=["tokens", "passwords"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "passwords":
        with start_registry(folder / "registry", password=True) as registry:
            user = (USER, PASSWORD)
            yield Guarded(registry=registry, pusher=user, reader=user, strangers=(NOBODY, (USER, "guess")))
        return
    with (
        start_token_server(folder / "tokens") as tokens,
        start_registry(folder / "registry", tokens=tokens.of_distribution()) as registry,
    ):
        alice, bob, erin = ((name, token_server.PASSWORD) for name in ("alice", "bob", "erin"))
        strangers = (NOBODY, erin, ("bob", "guess"))
        yield Guarded(registry=registry, pusher=alice, reader=bob, strangers=strangers, tokens=tokens)


@pytest.fixture
def gun(request: pytest.FixtureRequest, guarded: Guarded) -> str:
    return f"{guarded.registry.netloc}/team/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"


@pytest.fixture
def image(guarded: Guarded, gun: str, owner: TrustUser, tmp_path: Path) -> BuiltImage:
    """Signed as 1.0; the tag `unsigned` lies beside it."""
    made = build_image(tmp_path / "signed", text="signed")
    for each, tag in ((made, "1.0"), (build_image(tmp_path / "unsigned", text="unsigned"), "unsigned")):
        push(each, guarded.registry, gun.partition("/")[2], tag, password=True, who=guarded.pusher)
    logged_in(Path(owner.environ["DOCKER_CONFIG"]), guarded.registry.netloc, guarded.pusher)
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    return made


@pytest.fixture
def operator(gun: str, image: BuiltImage, owner: TrustUser, people: People) -> TrustUser:
    """Has no login at the registry: neither has the proxy."""
    found = people("operator")
    found.knows(gun, owner.pin_of(gun))
    return found


Start = Callable[..., contextlib.AbstractContextManager[ProxyProgram]]


@pytest.fixture
def start(tmp_path: Path, operator: TrustUser, guarded: Guarded) -> Start:
    def run(*options: str) -> contextlib.AbstractContextManager[ProxyProgram]:
        server = operator.environ["TRUST_SERVER"]
        return proxy_running(tmp_path / "proxy", guarded.registry.netloc, *options, home=operator.home, server=server)

    return run


@pytest.fixture
def proxy(start: Start) -> Iterator[ProxyProgram]:
    with start() as running:
        yield running


def logged_in(folder: Path, host: str, who: Who) -> None:
    """What `docker login` leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(docker_config(host=host, who=who) if who[0] else "{}")


# --- the programs that pull


class Puller:
    """One of the programs, as somebody. `image`: by the proxy's name."""

    def __init__(self, program: str, request: pytest.FixtureRequest, folder: Path) -> None:
        self._program = program
        self._containers = Containers(folder)
        self._docker: Docker | None = None
        if program == "docker":
            unpacked, host = (request.getfixturevalue(name) for name in ("unpacked_docker", "engine"))
            self._docker = Docker(unpacked, host, folder / "docker")

    def __call__(self, image: str, who: Who) -> Done:
        credentials = [":".join(who)] if who[0] else []
        if self._docker is not None:
            logged_in(self._docker.config, image.partition("/")[0], who)
            return self._docker("pull", image)
        if self._program == "podman":
            words = [word for each in credentials for word in ("--creds", each)]
            return self._containers.podman_pull("--tls-verify=false", *words, image)
        words = [word for each in credentials for word in ("--src-creds", each)]
        return self._containers.copied(image, "--src-tls-verify=false", *words)


@pytest.fixture(params=["skopeo", "podman", "docker"])
def puller(request: pytest.FixtureRequest, tmp_path: Path) -> Puller:
    return Puller(request.param, request, tmp_path / "puller")


def by_the_proxy(proxy: ProxyProgram, gun: str, tag: str) -> str:
    return f"{proxy.netloc}/{gun.partition('/')[2]}:{tag}"


def test_whom_the_registry_lets_in_gets_what_is_signed(
    puller: Puller, guarded: Guarded, proxy: ProxyProgram, gun: str
) -> None:
    done = puller(by_the_proxy(proxy, gun, "1.0"), guarded.reader)
    assert done.returncode == 0, done.stderr
    done = puller(by_the_proxy(proxy, gun, "unsigned"), guarded.reader)
    assert done.returncode != 0
    assert f"denied: {gun}:unsigned is not signed" in done.stderr


def test_whom_it_does_not_let_in_is_told_the_same_of_every_tag(
    puller: Puller, guarded: Guarded, proxy: ProxyProgram, gun: str
) -> None:
    """Also once the proxy has seen it all, for somebody else."""
    puller(by_the_proxy(proxy, gun, "1.0"), guarded.reader)
    for who in guarded.strangers:
        told = set()
        for tag in TAGS:
            done = puller(by_the_proxy(proxy, gun, tag), who)
            assert done.returncode != 0, (who, tag)
            said = re.sub('time="[^"]*"', "", done.stderr)
            told.add(re.sub(rf"(?<=[:/ ]){re.escape(tag)}\b", "TAG", said))
        assert len(told) == 1, told
        (only,) = told
        assert re.search(_REFUSED, only), only
        assert "signed" not in only


# --- what goes over the wire


def paths(gun: str, image: BuiltImage) -> list[str]:
    layer = json.loads(image.raw)["layers"][0]["digest"]
    ends = [*(f"manifests/{tag}" for tag in TAGS), f"manifests/{image.digest}", f"blobs/{layer}", "tags/list"]
    return [f"/v2/{gun.partition('/')[2]}/{end}" for end in ends]


def directly(guarded: Guarded, proxy: ProxyProgram, path: str, headers: dict[str, str]) -> Got:
    """What the registry says itself."""
    return ProxyProgram(netloc=guarded.registry.netloc, process=proxy.process, log=proxy.log).get(path, headers=headers)


def bearer(tokens: TokenServer, who: Who, repository: str) -> dict[str, str]:
    """A token to pull from a repository, or one that allows nothing to those who may not."""
    query = urlencode({"service": SERVICE, "scope": f"repository:{repository}:pull"})
    headers = basic(who) if who[0] else {}
    with urllib.request.urlopen(urllib.request.Request(f"{tokens.realm}?{query}", headers=headers)) as answer:
        return {"Authorization": f"Bearer {json.load(answer)['token']}"}


def basic(who: Who) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(':'.join(who).encode()).decode()}"}


def test_one_caller_s_credentials_never_answer_another(
    guarded: Guarded, proxy: ProxyProgram, gun: str, image: BuiltImage
) -> None:
    repository = gun.partition("/")[2]
    if guarded.tokens is None:
        reader = basic(guarded.reader)
        others = [{}, *(basic(who) for who in guarded.strangers if who[0]), {"Authorization": "Bearer a.b.c"}]
    else:
        reader = bearer(guarded.tokens, guarded.reader, repository)
        erin, nobody = (bearer(guarded.tokens, who, repository) for who in (guarded.strangers[1], NOBODY))
        elsewhere = bearer(guarded.tokens, guarded.reader, f"{repository}-too")
        others = [{}, erin, nobody, elsewhere, basic(guarded.reader)]
    found = {path.rpartition("/")[2]: proxy.get(path, headers=reader) for path in paths(gun, image)}
    assert found["1.0"].body == image.raw
    assert (found["unsigned"].status, found["unsigned"].code) == (403, "DENIED")
    assert found["list"].json["tags"] == ["1.0"]
    for other in others:
        for path in paths(gun, image):
            got, said = proxy.get(path, headers=other), directly(guarded, proxy, path, other)
            assert (got.status, said.status) == (401, 401), (path, other)
            assert got.headers["www-authenticate"] == said.headers["www-authenticate"], "the realm as upstream says it"
            assert b"sign" not in got.body.replace(gun.encode(), b"")
        bodies = {proxy.get(path, headers=other).body for path in paths(gun, image)[: len(TAGS)]}
        assert len(bodies) == 1
    assert proxy.get(paths(gun, image)[0], headers=reader).body == image.raw


# --- pushes


def pushed(containers: Containers, image: BuiltImage, target: str, who: Who) -> Done:
    words = ("--dest-tls-verify=false", "--dest-creds", ":".join(who))
    return containers.skopeo("copy", "--preserve-digests", *words, image.source, f"docker://{target}")


def test_a_push_is_passed_through_where_that_is_wanted_and_pulled_once_it_is_signed(
    start: Start, guarded: Guarded, gun: str, owner: TrustUser, tmp_path: Path
) -> None:
    """By a proxy that was started anew: that there is no such tag is believed for some seconds."""
    containers, made = Containers(tmp_path / "containers"), build_image(tmp_path / "new", text="new")

    def pulled(image: str) -> Done:
        return containers.copied(image, "--src-tls-verify=false", "--src-creds", ":".join(guarded.reader))

    with start("--allow-push") as proxy:
        target = by_the_proxy(proxy, gun, "new")
        for stranger in (each for each in (*guarded.strangers, guarded.reader) if each[0] and each != guarded.pusher):
            done = pushed(containers, made, target, stranger)
            assert done.returncode != 0
            assert re.search(_REFUSED, done.stderr), done.stderr
        done = pushed(containers, made, target, guarded.pusher)
        assert done.returncode == 0, done.stderr
        done = pulled(target)
        assert done.returncode != 0
        assert f"{gun}:new is not signed" in done.stderr
        assert proxy.end() == 0
    owner.run("sign", f"{gun}:new@{made.digest}")
    with start() as proxy:
        done = pulled(by_the_proxy(proxy, gun, "new"))
        assert done.returncode == 0, done.stderr

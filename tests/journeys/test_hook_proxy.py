"""The real `trust hook proxy` between a real registry and a real trust server, in both formats."""

from __future__ import annotations

import base64
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.images import BuiltImage, build_image
from tests.support.programs import PASSWORD, USER, RunningProgram, push
from tests.support.proxy_program import ProxyProgram, proxy_running
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from trustcli.hooks.proxy.client_config import CLIENTS

Start = Callable[..., AbstractContextManager[ProxyProgram]]
DENIED = (403, "DENIED")


def path(gun: str, *parts: str) -> str:
    return "/".join(["/v2", gun.partition("/")[2], *parts])


@pytest.fixture(params=["tuf", "notary"])
def image(request: pytest.FixtureRequest, owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    """An index, signed as 1.0; a tag `unsigned` lies beside it."""
    made = put("1.0", text="signed", index=True)
    put("unsigned", text="unsigned")
    owner.run("init", gun, "--format", request.param, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    return made


@pytest.fixture
def operator(gun: str, image: BuiltImage, owner: TrustUser, people: People) -> TrustUser:
    """Who runs the proxy, and was told the pin."""
    found = people("operator")
    found.knows(gun, owner.pin_of(gun))
    return found


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """All must be signed."""
    file = tmp_path / "trust-policy.toml"
    file.write_text('[[rule]]\nmatch = "*"\n')
    return file


@pytest.fixture
def start(tmp_path: Path, operator: TrustUser, policy: Path, shared_registry: RunningProgram) -> Start:
    """`start()` runs a proxy with this policy; `state` names its folder, `server` another trust server."""

    def run(
        *, state: str = "proxy", server: str = "", options: tuple[str, ...] = ()
    ) -> AbstractContextManager[ProxyProgram]:
        return proxy_running(
            tmp_path / state,
            shared_registry.netloc,
            *("--policy", str(policy), *options),
            home=operator.home,
            server=server or operator.environ["TRUST_SERVER"],
        )

    return run


@pytest.fixture
def proxy(start: Start) -> Iterator[ProxyProgram]:
    with start() as running:
        yield running


def test_what_is_signed_is_handed_out_and_nothing_else(
    proxy: ProxyProgram, gun: str, image: BuiltImage, put: Put
) -> None:
    got = proxy.get(path(gun, "manifests", "1.0"))
    assert (got.status, got.body) == (200, image.raw)
    for child in image.children:
        platform = proxy.get(path(gun, "manifests", f"sha256:{child}"))
        assert platform.status == 200
        for blob in (platform.json["config"], *platform.json["layers"]):
            assert len(proxy.get(path(gun, "blobs", blob["digest"])).body) == blob["size"]
    assert proxy.get(path(gun, "tags", "list")).json["tags"] == ["1.0"]
    got = proxy.get(path(gun, "manifests", "unsigned"))
    assert (got.status, got.code, got.message) == (*DENIED, f"{gun}:unsigned is not signed")
    other = put("1.0", text="moved")  # in the registry alone
    assert proxy.get(path(gun, "manifests", "1.0")).body == image.raw
    assert proxy.get(path(gun, "manifests", other.digest)).status == 403
    assert proxy.get("/healthz").status == proxy.get("/readyz").status == 200
    assert proxy.end() == 0


def test_metrics_are_for_the_operator_alone(start: Start, gun: str) -> None:
    with start(options=("--metrics", "127.0.0.1:0")) as proxy:
        assert proxy.get(path(gun, "manifests", "1.0")).status == 200
        page = proxy.get("/metrics")
        assert (page.status, b"trust_" in page.body) == (404, False)
        assert proxy.process.stdout is not None
        words, _, url = proxy.process.stdout.readline().decode().strip().rpartition(" ")
        assert words == "metrics at"
        operator = replace(proxy, netloc=url.removeprefix("http://").removesuffix("/metrics"))
        page = operator.get("/metrics")
        assert b'trust_proxy_answers_total{endpoint="manifest",status="200"} 1.0' in page.body
        assert b"certificate" not in page.body, "there is none"
        assert gun.partition("/")[2].encode() not in page.body
        assert operator.get("/healthz").status == operator.get("/readyz").status == 200
        assert operator.get("/v2/").status == 404
        assert proxy.end() == 0


def test_a_new_signature_counts_at_once(proxy: ProxyProgram, gun: str, owner: TrustUser, put: Put) -> None:
    second = put("2.0", text="second")
    owner.run("sign", f"{gun}:2.0")
    assert proxy.get(path(gun, "manifests", "2.0")).body == second.raw


def test_a_restart_and_another_replica_hand_out_what_is_signed(start: Start, gun: str, image: BuiltImage) -> None:
    with start() as proxy:
        child = proxy.get(path(gun, "manifests", f"sha256:{image.children[0]}"))
        layer = path(gun, "blobs", child.json["layers"][0]["digest"])
        assert proxy.end(signal.SIGKILL) == -signal.SIGKILL
    for state in ("proxy", "other"):
        with start(state=state) as again:
            assert again.get(layer).status == 200


def test_without_its_trust_server_it_refuses_in_words(start: Start, gun: str) -> None:
    with start(server="http://127.0.0.1:9") as proxy:
        got = proxy.get(path(gun, "manifests", "1.0"))
        assert (got.status, got.code) == DENIED
        assert "127.0.0.1:9" in got.message


def test_a_policy_that_is_broken_now_refuses_everything(start: Start, gun: str, policy: Path) -> None:
    with start() as proxy:
        assert proxy.get(path(gun, "manifests", "1.0")).status == 200
        policy.write_text("[[rule]]\nmatch = 7\n")
        got = proxy.get(path(gun, "manifests", "1.0"))
        assert (got.status, got.code) == DENIED
        assert "trust-policy.toml" in got.message
        ready = proxy.get("/readyz")
        assert (ready.status, b"trust-policy" in ready.body) == (503, False), "strangers are told no paths"


def test_each_caller_sees_what_the_registry_shows_to_them(
    tmp_path: Path, owner: TrustUser, password_registry: RunningProgram
) -> None:
    """A private repository, with Basic credentials that pass through."""
    image = build_image(tmp_path / "layout")
    push(image, password_registry, "team/app", "1.0", password=True)
    basic = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    server = owner.environ["TRUST_SERVER"]
    with proxy_running(tmp_path / "proxy", password_registry.netloc, home=owner.home, server=server) as proxy:
        for end in ("manifests/1.0", f"manifests/{image.digest}", "tags/list", f"blobs/{image.digest}"):
            stranger = proxy.get(f"/v2/team/app/{end}")
            assert stranger.status == 401
            assert stranger.headers["www-authenticate"].startswith("Basic ")
            assert b"sign" not in stranger.body
        assert proxy.get("/v2/", headers=basic).status == 200
        got = proxy.get("/v2/team/app/manifests/1.0", headers=basic)
        assert (got.status, got.code) == DENIED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give --listen and --upstream"),
        (("--listen", "127.0.0.1:0"), "give --upstream;"),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example/x/v2/"), "write it so: https://r.example/x"),
        (("--listen", "127.0.0.1:0", "--upstream", "r.example"), "next: write it with its scheme: https://r.example"),
        (
            ("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--registry", "https://r.example/"),
            "which no name of an image begins with; write it so: r.example",
        ),
        (("config", "cri-o"), "did you mean 'crio'?"),
        (("--listen", "0.0.0.0:0", "--upstream", "https://r.example"), "is beyond this machine"),
        (("--listen", "127.0.0.1:0", "--upstream", "http://r.example"), "credentials would go over it"),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--blobs", "x"), "--blobs is x"),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--registry", "r"), "begin with a host"),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--refresh", "1s"), "--refresh is 1s"),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--tls-cert", "x"), "belong together"),
        (
            ("config", "rkt", "--address", "http://p.example", "--registry", "r.example"),
            "rkt is no client",
        ),
        (("--listen", "127.0.0.1:0", "--upstream", "https://r.example", "--metrics", "9470"), "--metrics is 9470"),
        (("config", "docker"), "config needs --address"),
        (("config", "docker", "--address", "http://p.example/x", "--registry", "r.example"), "has a path"),
        (("--address", "http://p.example"), "--address is for"),
    ],
)
def test_wrong_usage_is_told(people: People, arguments: tuple[str, ...], words: str) -> None:
    people("operator").run("hook", "proxy", *arguments, expect=2).said(words)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_s_configuration_names_the_proxy_and_no_other_place(people: People, client: str, scheme: str) -> None:
    """That each form fails closed is tried with the clients themselves: peers/test_hook_proxy_clients.py."""
    given = ("--address", f"{scheme}://proxy.example", "--registry", "registry.example.com")
    printed = people("operator").run("--json", "hook", "proxy", "config", client, *given).document()
    assert "mirror" not in printed["text"]
    assert "registry.example.com" not in printed["text"].replace('prefix = "registry.example.com"', "")
    assert printed["text"] == people("operator").run("hook", "proxy", "config", client, *given).stdout
    assert ("insecure" in printed["text"]) == (scheme == "http" and client != "containerd")

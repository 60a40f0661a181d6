"""`trust hook admission` as a cluster's API server meets it: over TLS, with a real trust server and a registry."""

from __future__ import annotations

import base64
import contextlib
import http.client
import shutil
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.journeys.hostile import Serve
from tests.support.admission import answered, holding, images_of, patched, pod, pod_spec, review, sent
from tests.support.admission_program import END_SECONDS, PATIENT, Admission
from tests.support.certificates import Authority, make_authority
from tests.support.hostile_server import Request, Wire
from tests.support.images import BuiltImage
from tests.support.json_documents import check_printed
from tests.support.pulling_node import release
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MUTATE = f"/mutate?{PATIENT}"
Webhook = Callable[..., Admission]


@pytest.fixture
def webhook(tmp_path: Path, trust_server: ServerProcess, gun: str) -> Iterator[Webhook]:
    """Makes webhooks that know the trust server of the test's registry, or others; none is started yet."""
    made: list[Admission] = []

    def make(**servers: str) -> Admission:
        known = {gun.partition("/")[0]: trust_server.url, **servers}
        made.append(Admission(tmp_path / f"webhook{len(made)}", known))
        made[-1].allow(f'match = "{gun}"')
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def signed(owner: TrustUser, gun: str, put: Put) -> BuiltImage:
    return release(owner, gun, put)


@pytest.fixture
def running(webhook: Webhook, owner: TrustUser, gun: str, signed: BuiltImage) -> Admission:
    """A webhook that runs, and knows the collection, in which 1.0 is signed."""
    made = webhook()
    made.admin.knows(gun, owner.pin_of(gun))
    made.start()
    return made


@pytest.mark.parametrize("form", ["tuf", "notary"])
def test_pods_are_judged_and_pinned(webhook: Webhook, owner: TrustUser, gun: str, put: Put, form: str) -> None:
    image = put("1.0", index=True)
    owner.run("init", gun, "--format", form, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    admission = webhook()
    admission.admin.run("pin", gun, owner.pin_of(gun), "--format", form)
    admission.start("--require-digests")
    thing = pod(f"{gun}:1.0", initContainers=[{"name": "a", "image": f"{gun}@{image.digest}"}])
    mutated = patched(thing, admission.allows(review(thing), MUTATE))
    assert images_of(mutated) == [f"{gun}:1.0@{image.digest}", f"{gun}@{image.digest}"]
    admission.allows(review(mutated))
    admission.refuses(review(thing), "is refused by --require-digests")
    admission.allows(review(holding("Deployment", pod_spec(f"{gun}:1.0"))))
    for path in (MUTATE, f"/validate?{PATIENT}"):
        admission.refuses(review(pod(f"{gun}:2.0")), f"{gun}:2.0 is not signed; next: ", path=path)
        admission.refuses(review(pod(f"{gun}@{OTHER_DIGEST}")), "is not signed", path=path)
        admission.refuses(review(pod(f"{gun}:1.0@{OTHER_DIGEST}")), "is signed as", path=path)
        admission.refuses(review(pod("alpine")), "docker.io/library/alpine is refused by", "no rule matches", path=path)
        admission.allows(review(pod("alpine", activeDeadlineSeconds=1), operation="UPDATE", old=pod("alpine")), path)
        admission.allows(review(None, operation="DELETE", old=pod("alpine")), path)
    owner.run("revoke", "--yes", f"{gun}:1.0")
    assert admission.stop() == 0
    admission.start()
    admission.refuses(review(mutated), "is not signed")
    admission.allows(review(mutated, operation="UPDATE", old=mutated))
    assert admission.stop() == 0
    assert (
        "refused: CREATE of Pod of v1 in team-a, container alpine: docker.io/library/alpine"
        in admission.log.read_text()
    )


def test_it_serves_pages_for_the_operator(running: Admission, gun: str) -> None:
    running.allows(review(pod(f"{gun}:1.0")))
    running.refuses(review(pod(f"{gun}:2.0")))
    assert running.get("/healthz") == (200, "alive\n")
    assert running.get("/readyz") == (200, "ready\n")
    status, page = running.get("/metrics")
    assert status == 200
    assert 'trust_admission_reviews_total{outcome="refused",path="/validate"} 1.0' in page
    assert 'trust_admission_images_total{outcome="not-signed"} 1.0' in page
    assert running.get("/")[0] == 404
    assert running.get("/validate")[0] == 405


def test_what_is_no_review_is_not_allowed(running: Admission, gun: str) -> None:
    good = sent(review(pod(f"{gun}:1.0")))
    for raw in (b"", b"{}", b"[" * 100_000, good[:-1], good.replace(b"/v1", b"/v1beta1"), b"\xff" * 1000):
        status, said = running.post(raw)
        assert (status, b"allowed" in said) == (400, False)
        assert said.startswith(b"the review cannot be judged: its ")
    assert running.post(b" " * (9 * 1024 * 1024))[0] == 413
    odd = {"apiVersion": "v1", "kind": "Node"}
    assert "is Node of v1, of which it is not known" in running.refuses(review(odd))
    large = pod(f"{gun}:1.0")
    large["metadata"]["annotations"] = {"text": "x" * 1_000_000}
    running.allows(review(large))


def test_many_at_once_cost_one_refresh(running: Admission, gun: str) -> None:
    def ask(image: str) -> bool:
        return bool(running.review(review(pod(image)))["allowed"])

    with ThreadPoolExecutor(100) as threads:
        assert set(threads.map(ask, [f"{gun}:1.0"] * 100)) == {True}
        assert 'trust_refreshes_total{result="ok"} 1.0' in running.get("/metrics")[1]
        assert set(threads.map(ask, [f"{gun}:{number}.9" for number in range(100)])) == {False}


def test_a_trust_server_that_is_away_does_not_keep_pods_from_starting(
    webhook: Webhook, own_server: ServerProcess, tmp_path: Path, gun: str, put: Put
) -> None:
    own_server.start()
    owner = TrustUser(tmp_path / "owner", own_server.url)
    image = release(owner, gun, put)
    admission = webhook(**{gun: own_server.url})
    admission.allow(f'match = "{gun}"\nmax_staleness = "1h"')
    admission.admin.knows(gun, owner.pin_of(gun))
    admission.start()
    thing = pod(f"{gun}:1.0")
    admission.allows(review(thing))
    own_server.stop()
    for _ in ("as it ran", "and after a restart"):
        assert images_of(patched(thing, admission.allows(review(thing), MUTATE))) == [f"{gun}:1.0@{image.digest}"]
        admission.refuses(review(pod(f"{gun}:2.0")), f"{gun}:2.0")
        assert admission.stop() == 0
        admission.start()
    assert admission.stop() == 0
    shutil.rmtree(admission.state)
    admission.start()
    admission.refuses(review(thing), "cannot be reached", "try again in a moment")
    admission.allows(review(thing, operation="UPDATE", old=thing))


def test_a_trust_server_that_hangs_holds_up_nobody_else(
    webhook: Webhook, serve: Serve, owner: TrustUser, gun: str, signed: BuiltImage
) -> None:
    def never(_: Request, wire: Wire) -> None:
        wire.stopping.wait()
        wire.close()

    slow = "registry.example.com"
    admission = webhook(**{slow: serve(never).url})
    admission.admin.knows(gun, owner.pin_of(gun))
    admission.allow(f'match = "{gun}"', f'match = "{slow}/*"')
    admission.start()
    hanging = [pod(*[f"{slow}/app-{number}-{each}:1" for each in range(20)]) for number in range(3)]
    for thing in hanging:
        admission.refuses(review(thing, namespace="evil"), "no verdict within", path="/validate?timeout=1s")
    admission.allows(review(pod(f"{gun}:1.0"), namespace="good"))
    assert admission.stop() == 0


def test_a_policy_that_changes_counts_at_once_and_a_broken_one_allows_nothing(running: Admission, gun: str) -> None:
    thing = review(pod(f"{gun}:1.0"))
    running.allows(thing)
    running.allow(f'match = "{gun}"\naction = "deny"')
    running.refuses(thing, "the rule denies it")
    running.allow("match = 7")
    running.refuses(thing, "cannot be used")
    running.policy.unlink()
    running.refuses(thing, "cannot be used")
    running.allow(f'match = "{gun}"')
    running.allows(thing)


def test_a_namespace_may_require_more(webhook: Webhook, owner: TrustUser, gun: str, signed: BuiltImage) -> None:
    admission = webhook()
    admission.admin.knows(gun, owner.pin_of(gun))
    stricter = admission.etc / "team-a.toml"
    stricter.write_text(f'version = 1\n[[rule]]\nmatch = "{gun}"\nsigners = ["carol"]\n')
    admission.start("--namespace-policy", f"team-a={stricter}")
    admission.refuses(review(pod(f"{gun}:1.0"), namespace="team-a"), "carol")
    admission.allows(review(pod(f"{gun}:1.0"), namespace="team-b"))


# --- certificates


def _issue(authority: Authority, folder: Path, into: tuple[Path, Path]) -> None:
    """Put a new certificate with its key where the webhook reads them."""
    folder.mkdir()
    authority.server_context(folder)
    (pem,) = folder.iterdir()
    for place in into:
        written = folder / "new"
        written.write_bytes(pem.read_bytes())
        written.replace(place)


def _serial(admission: Admission, ca: Path) -> int:
    with contextlib.closing(admission.connect(ca)) as connection:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


def test_a_renewed_certificate_is_served_without_a_restart(
    webhook: Webhook, owner: TrustUser, gun: str, signed: BuiltImage, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    _issue(authority, tmp_path / "first", files)
    admission = webhook()
    admission.admin.knows(gun, owner.pin_of(gun))
    admission.start(tls=("--tls-cert", str(files[0]), "--tls-key", str(files[1])))
    first = _serial(admission, authority.file)
    document = review(pod(f"{gun}:1.0"))
    with contextlib.closing(admission.connect(authority.file)) as connection:
        assert admission.review(document, connection=connection)["allowed"] is True
        _issue(authority, tmp_path / "second", files)
        assert admission.review(document, connection=connection)["allowed"] is True
    second = _serial(admission, authority.file)
    assert second != first
    files[0].write_text("no certificate")
    assert _serial(admission, authority.file) == second
    assert "the certificate of before serves on" in admission.log.read_text()
    _issue(authority, tmp_path / "third", files)
    assert _serial(admission, authority.file) not in {first, second}


def test_its_own_certificate_is_for_the_name_of_the_service_and_stays(webhook: Webhook) -> None:
    admission = webhook()
    admission.start("--dns-name", "trust-admission.content-trust.svc")
    serial = _serial(admission, admission.ca)
    with contextlib.closing(admission.connect()) as connection:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert()
    assert shown is not None
    assert ("DNS", "trust-admission.content-trust.svc") in shown["subjectAltName"]
    assert admission.stop() == 0
    admission.start("--dns-name", "trust-admission.content-trust.svc")
    assert _serial(admission, admission.ca) == serial


def _api_server(admission: Admission, by: Authority | None, folder: Path) -> http.client.HTTPSConnection:
    """A connection that shows a certificate of an authority, or none."""
    context = ssl.create_default_context(cafile=str(admission.ca))
    if by is not None:
        folder.mkdir(exist_ok=True)
        context.load_cert_chain(*by.client_certificate(folder, f"of {by.file.stem}"))
    return http.client.HTTPSConnection(urlsplit(admission.url).netloc, timeout=END_SECONDS, context=context)


def test_only_api_servers_that_show_a_certificate_may_post(
    webhook: Webhook, owner: TrustUser, gun: str, signed: BuiltImage, tmp_path: Path
) -> None:
    ours, theirs = make_authority(tmp_path, "API servers"), make_authority(tmp_path, "Others")
    file = tmp_path / "client-ca.crt"
    file.write_bytes(ours.file.read_bytes())
    admission = webhook()
    admission.admin.knows(gun, owner.pin_of(gun))
    admission.start("--tls-client-ca", str(file))
    thing = review(pod(f"{gun}:1.0"))

    def posted(by: Authority | None) -> tuple[int, bytes]:
        with contextlib.closing(_api_server(admission, by, tmp_path / "clients")) as connection:
            return admission.post(sent(thing), connection=connection)

    assert answered(posted(ours)[1])["allowed"] is True
    status, said = posted(None)
    assert (status, b"allowed" in said) == (403, False)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        posted(theirs)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert admission.get(path)[0] == 200
    assert "trust_admission_strangers_total 1.0" in admission.get("/metrics")[1]

    new = tmp_path / "new.crt"
    new.write_bytes(theirs.file.read_bytes())
    with contextlib.closing(_api_server(admission, ours, tmp_path / "clients")) as connection:
        assert admission.review(thing, connection=connection)["allowed"] is True
        new.replace(file)
        assert admission.post(sent(thing), connection=connection)[0] == 503
    with pytest.raises((ssl.SSLError, ConnectionError)):
        posted(ours)
    assert answered(posted(theirs)[1])["allowed"] is True
    assert admission.stop() == 0


# --- command lines


def test_a_start_that_cannot_be_meant_is_refused(webhook: Webhook, tmp_path: Path) -> None:
    admission = webhook()

    def refused(*options: str, status: int = 2, listen: str = "127.0.0.1:0") -> str:
        command = ("hook", "admission", "--listen", listen, "--policy", str(admission.policy), *options)
        return admission.admin.run(*command, expect=status).stderr

    both = "give --tls-cert and --tls-key, or --self-signed instead"
    assert both in refused()
    assert both in refused("--tls-cert", "a.crt")
    assert both in refused("--self-signed", "--tls-cert", "a.crt", "--tls-key", "a.key")
    assert "--dns-name is for --self-signed" in refused("--tls-cert", "a", "--tls-key", "b", "--dns-name", "c")
    assert "--dns-name is a b, but must be a host" in refused("--self-signed", "--dns-name", "a b")
    assert "must be NAMESPACE=FILE" in refused("--self-signed", "--namespace-policy", "Team_A=x.toml")
    assert "names a twice" in refused("--self-signed", "--namespace-policy", "a=x", "--namespace-policy", "a=y")
    assert "must be HOST:PORT" in refused("--self-signed", listen="8443")
    assert "none.crt cannot be used" in refused("--self-signed", "--tls-client-ca", str(tmp_path / "none.crt"))
    assert "cannot be used" in refused("--tls-cert", str(tmp_path / "none"), "--tls-key", "none", status=2)
    admission.allow("match = 7")
    assert "cannot be used at" in refused("--self-signed", status=5)


def test_the_start_is_told_as_json(webhook: Webhook) -> None:
    admission = webhook()
    printed = admission.launch("--json")
    text = "".join(iter(printed.readline, "}\n")) + "}\n"
    document = check_printed(("hook", "admission", "--json"), 0, text)
    assert base64.b64decode(document["ca_bundle"]) == Path(document["ca"]).read_bytes()
    admission.url, admission.ca = document["url"], Path(document["ca"])
    assert admission.get("/readyz")[0] == 200
    assert admission.stop() == 0

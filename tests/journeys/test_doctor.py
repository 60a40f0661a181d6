"""`trust doctor [NAME]` with the real programs: what is wrong is found, with its remedy, and nothing is touched."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.hostile import between
from tests.journeys.late_client import LateUser
from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Script, json_reply, reply
from tests.support.images import BuiltImage
from tests.support.programs import RunningProgram
from tests.support.server_process import ServerProcess
from tests.support.stage import People
from tests.support.token_registries import ALICE, REPOSITORY, TokenRegistry, docker_config
from tests.support.trust_program import SECRETS, TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Serve = Callable[[Script], HostileServer]
Row = dict[str, str | None]


def rows(person: TrustUser, *arguments: str, **environ: str) -> list[Row]:
    """The findings; exit status and both views agree with them."""
    ran = person.run("--json", "doctor", *arguments, expect=None, **environ)
    document = ran.document()
    found: list[Row] = document["findings"]
    wrong = any(row["severity"] == "wrong" for row in found)
    assert ran.status == document["exit"] == (1 if wrong else 0), str(ran)
    return found


def of(found: list[Row], check: str, severity: str | None = None) -> list[Row]:
    return [row for row in found if row["check"] == check and severity in {None, row["severity"]}]


def the(found: list[Row], check: str, severity: str = "wrong") -> Row:
    """The only finding of its kind."""
    (row,) = of(found, check, severity)
    return row


def wrong(found: list[Row]) -> set[str | None]:
    return {row["check"] for row in found if row["severity"] == "wrong"}


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"")
        for file in folder.rglob("*")
    }


# --- the healthy case


def test_nothing_is_wrong_and_nothing_is_touched_asked_or_opened(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    before = state(owner.folder)
    for secret in SECRETS:
        del owner.environ[secret]
    for arguments in ((gun,), ()):
        found = rows(owner, *arguments)
        assert wrong(found) == set()
        assert state(owner.folder) == before
    ran = owner.run("doctor", gun)
    assert ran.stdout.endswith("nothing is wrong\n")
    for sentence in (
        "trust-server: http://127.0.0.1",
        "clock: the clock here agrees",
        "answers over plain http",
        f"access: {gun} can be read",
        f"collection: {gun} verifies: root 1",
        "recovery: root needs 1 of 2 keys",
        f"signing: keys here can sign {gun} as the repository key",
        f"root-key: a root key of {gun} is here",
        "keys: 2 private keys, for their owner alone",
    ):
        assert sentence in ran.stdout, str(ran)
    owner.run("doctor", f"{gun}:1.0", expect=2).said("leave out the tag")
    owner.run("doctor", "UPPER", expect=2)


def test_a_stranger_trusts_nobody_on_first_use(people: People, gun: str, begun: BuiltImage) -> None:
    stranger = people("stranger")
    found = rows(stranger, gun, TRUST_TOFU="1")
    assert {"pins", "collection"} <= wrong(found)
    assert "trust pin" in str(the(found, "collection")["remedy"])
    assert not stranger.home.exists()


# --- servers


def test_a_server_that_is_none_and_one_that_is_not_there(
    owner: TrustUser, gun: str, begun: BuiltImage, shared_registry: RunningProgram
) -> None:
    registry = the(rows(owner, "--server", f"http://{shared_registry.netloc}", gun), "trust-server")
    assert "but not as a trust server does" in str(registry["text"])
    assert "(--server)" in str(registry["place"])
    with_path = rows(owner, "--server", f"{owner.environ['TRUST_SERVER']}/tuf", f"{gun}-unknown")
    assert "see whether the path belongs to the address" in str(the(with_path, "trust-server", "note")["text"])
    nobody = rows(owner, "--server", "http://127.0.0.1:1", gun)
    assert "cannot be reached: Connection refused" in str(the(nobody, "trust-server")["text"])
    assert of(nobody, "registry", "ok"), "one that fails never stops the others"
    assert of(nobody, "keys", "ok")


def test_a_mirror_of_the_files_is_all_that_verify_needs(
    owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve
) -> None:
    """It says nothing at /readyz; that is no fault of who verifies with it."""
    true = owner.environ["TRUST_SERVER"]

    def alter(request: Request, answer: bytes) -> bytes:
        return answer if request.target.startswith("/tuf/") else reply(404)

    mirror = serve(between(true, alter)).url
    owner.run("--server", mirror, "verify", f"{gun}:1.0")
    for arguments in ((gun,), ()):
        found = rows(owner, "--server", mirror, *arguments)
        assert wrong(found) == set()
        note = the(found, "trust-server", "note")
        assert "answers 404 to /readyz, but not as a trust server does; trust data can be read" in str(note["text"])
    owner.run("--server", mirror, "verify", f"{gun}-unknown:1.0", expect=3)
    note = the(rows(owner, "--server", mirror, f"{gun}-unknown"), "trust-server", "note")
    assert "there is a trust server, and the proxy before it hides /readyz" in str(note["text"])


def test_a_certificate_that_is_refused_never_leads_to_plain_http(tmp_path: Path, people: People) -> None:
    registry = TwoFaced(lambda _, wire: wire.send(reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})))
    registry.face = make_authority(tmp_path, "Stranger CA").server_context(tmp_path)
    try:
        person = people("someone")
        (person.folder / "docker").mkdir()
        (person.folder / "docker" / "config.json").write_text(docker_config(host=registry.netloc, who=ALICE))
        found = rows(person, f"{registry.netloc}/{REPOSITORY}")
    finally:
        registry.stop()
    assert registry.requests == []
    assert "unable to get local issuer certificate" in str(the(found, "certificate")["text"])
    assert of(found, "registry", "wrong")


def test_a_registry_whose_answer_cannot_be_used_is_told_by_that_answer(people: People) -> None:
    registry = HostileServer(lambda _, wire: wire.send(reply(200, b"x" * 1_000_000)))
    try:
        found = rows(people("someone"), f"{registry.netloc}/{REPOSITORY}")
    finally:
        registry.stop()
    assert str(the(found, "registry")["text"]) == f"an answer of {registry.url} is larger than 262144 bytes"


class TwoFaced(HostileServer):
    """Speaks TLS to those who begin with it, and plain HTTP to the others, on one port."""

    face: ssl.SSLContext

    def _serve(self, sock: socket.socket, number: int) -> None:
        if sock.recv(1, socket.MSG_PEEK) != b"\x16":
            super()._serve(sock, number)
            return
        with contextlib.suppress(OSError), sock:
            self.face.wrap_socket(sock, server_side=True).close()


def test_a_private_ca(tmp_path: Path, people: People) -> None:
    folder = tmp_path / "tls-server"
    folder.mkdir()
    server = ServerProcess(folder / "data")
    server.start("--self-signed")
    try:
        person = people("someone")
        person.environ["TRUST_SERVER"] = server.url
        refused = the(rows(person), "certificate")
        assert "unable to get local issuer certificate" in str(refused["text"])
        port = server.url.rpartition(":")[2]
        assert "--cacert FILE" in str(refused["remedy"])
        assert f"/etc/docker/certs.d/127.0.0.1:{port}/ca.crt" in str(refused["remedy"])
        assert "the system's store" in str(refused["place"])
        assert server.ca is not None
        good = rows(person, "--cacert", server.ca)
        assert wrong(good) == set()
        assert f"a CA from --cacert {server.ca}; it is valid until" in str(of(good, "certificate")[0]["text"])
    finally:
        server.kill()


def test_the_clock(serve: Serve, people: People) -> None:
    def tomorrow(_: object, wire: object) -> None:
        wire.send(json_reply(200, {"status": "ready"}, {"Date": "Sat, 21 Nov 2099 00:00:00 GMT"}))  # type: ignore[attr-defined]

    server = serve(tomorrow)
    found = rows(people("someone"), "--server", f"http://127.0.0.1:{server.port}")
    assert "behind that of http://127.0.0.1" in str(the(found, "clock")["text"])
    assert "set the clock" in str(the(found, "clock")["remedy"])


# --- the registry: 401 means five things


@dataclass(frozen=True, kw_only=True)
class Refused:
    """What the registry does to `who`, and what doctor must find: HOST and GUN stand for the registry's."""

    name: str
    registry: TokenRegistry
    who: tuple[str, str] | None
    check: str
    text: str
    remedy: str


REFUSALS = (
    Refused(
        name="none-stored",
        registry=TokenRegistry(),
        who=None,
        check="access",
        text="no credentials are stored for HOST",
        remedy="docker login HOST",
    ),
    Refused(
        name="wrong",
        registry=TokenRegistry(),
        who=("alice", "wrong"),
        check="access",
        text="the credentials of alice (",
        remedy="docker login HOST",
    ),
    Refused(
        name="no-right",
        registry=TokenRegistry(grants={}),
        who=ALICE,
        check="access",
        text="is logged in, but may not read GUN (401)",
        remedy="ask the owner of GUN for the right to pull",
    ),
    Refused(
        name="no-repository",
        registry=TokenRegistry(grants={REPOSITORY: ["pull", "push"]}, exists=False),
        who=ALICE,
        check="access",
        text="the token grants alice",
        remedy="check the name, push the image first",
    ),
    Refused(
        name="token-for-another",
        registry=TokenRegistry(grants={"other/app": ["pull"]}),
        who=ALICE,
        check="scopes",
        text="granted: nothing; the token is for other/app. Missing: pull, push",
        remedy="docker login HOST with an account that has it",
    ),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: str(case.name))
def test_401_told_apart(serve: Serve, people: People, case: Refused) -> None:
    host = f"127.0.0.1:{serve(case.registry).port}"
    gun = f"{host}/{REPOSITORY}"
    person = people("someone")
    if case.who is not None:
        (person.folder / "docker").mkdir()
        (person.folder / "docker" / "config.json").write_text(docker_config(host=host, who=case.who))
    found = rows(person, gun)
    row = the(found, case.check)
    assert case.text.replace("HOST", host).replace("GUN", gun) in str(row["text"])
    assert case.remedy.replace("HOST", host).replace("GUN", gun) in str(row["remedy"])
    assert "correct horse" not in json.dumps(found)
    assert f"Bearer realm http://{host}/token service registry" in str(of(found, "challenge", "ok")[0]["text"])


def test_what_is_granted_and_who_gives_tokens(serve: Serve, people: People) -> None:
    tokens = serve(TokenRegistry(grants={REPOSITORY: ["pull"]}))
    registry = serve(TokenRegistry(grants={REPOSITORY: ["pull"]}, realm=f"http://localhost:{tokens.port}/token"))
    host = f"127.0.0.1:{registry.port}"
    person = people("someone")
    (person.folder / "docker").mkdir()
    (person.folder / "docker" / "config.json").write_text(docker_config(host=host, who=ALICE))
    found = rows(person, f"{host}/{REPOSITORY}")
    assert "it sends us for tokens to http://localhost" in str(the(found, "challenge", "note")["text"])
    scopes = the(found, "scopes", "note")
    assert f"asked for repository:{REPOSITORY}:pull,push; granted: pull. Missing: push" in str(scopes["text"])
    assert of(found, "access", "ok")
    assert "alice (" in str(the(found, "credentials", "ok")["text"])


def test_credentials_that_cannot_be_had(serve: Serve, people: People) -> None:
    host = f"127.0.0.1:{serve(TokenRegistry()).port}"
    person = people("someone")
    (person.folder / "docker").mkdir()
    config = person.folder / "docker" / "config.json"
    config.write_text(json.dumps({"credHelpers": {host: "nowhere"}}))
    assert "docker-credential-nowhere" in str(the(rows(person, f"{host}/{REPOSITORY}"), "credentials")["text"])
    config.write_text("{")
    found = rows(person, f"{host}/{REPOSITORY}")
    assert "is not valid JSON" in str(the(found, "credentials")["text"])
    place = str(the(found, "credentials")["place"])
    assert place.startswith(f"{config}, "), "every place is named"
    assert f"{person.folder}/.config/containers/auth.json (not there)" in place


def test_a_registry_that_is_none(serve: Serve, people: People) -> None:
    port = serve(lambda _, wire: wire.send(json_reply(404, {}))).port
    found = rows(people("someone"), f"127.0.0.1:{port}/app")
    assert "answers 404 to /v2/" in str(the(found, "registry")["text"])


# --- what lies here


def test_the_key_store(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    private = owner.home / "private"
    owner.run("key", "generate", "stranger")
    assert "signer key stranger" in str(the(rows(owner), "keys", "note")["text"])
    assert f"is not delegated in {gun}" in str(the(rows(owner, gun), "signing", "note")["text"])
    first, second, *_ = sorted(private.glob("*.key"))
    first.write_text("garbage")
    second.chmod(0o644)
    found = of(rows(owner, gun), "keys", "wrong")
    assert {row["place"] for row in found} == {str(first), str(second)}
    assert [row["remedy"] for row in found if row["place"] == str(second)] == [f"chmod 600 {second}"]
    private.chmod(0o755)
    assert the(rows(owner, gun), "keys")["remedy"] == f"chmod 700 {private}"


def test_only_the_recovery_key_is_left(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    keys = {row["purpose"]: row["keyid"] for row in owner.run("--json", "key", "list").document()["keys"]}
    owner.run("key", "remove", "--yes", keys["root"])
    row = the(rows(owner, gun), "root-key", "note")
    assert row["remedy"] == f"trust key rotate root {gun} --recovery-key FILE"
    owner.run("key", "remove", "--yes", keys["targets"])
    owner.run("key", "generate", "carol")
    assert "no key here is a signer's" in str(of(rows(owner, gun), "signing", "note")[0]["text"])


def test_of_memory_that_is_not_there_nothing_else_is_said(people: People) -> None:
    assert the(rows(people("newcomer")), "memory", "ok")["text"] == "nothing was verified here before"


def test_pins_and_memory(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    pins, seen = owner.home / "pins.toml", owner.home / "seen.json"
    good_pins, good_seen = pins.read_text(), seen.read_text()
    pins.chmod(0o666)
    assert str(the(rows(owner), "pins")["remedy"]).endswith(f"unchanged, then: chmod go-w {pins}")
    pins.chmod(0o600)
    pins.write_text(good_pins.replace("sha256:", "sha256:0000")[: len(good_pins)])
    assert str(pins) in str(of(rows(owner, gun), "pins", "wrong")[0]["text"])
    pins.write_text(good_pins)
    document = json.loads(good_seen)
    document["collections"][gun]["root_of_trust"] = "0" * 64
    seen.write_text(json.dumps(document))
    row = the(rows(owner, gun), "pins")
    assert "rollback memory is of another root of trust" in str(row["text"])
    assert row["remedy"] == f"ask the publisher which root is right, then trust pin {gun} REF --replace"
    seen.write_text("{")
    found = rows(owner, gun)
    assert any(str(seen) in str(row["text"]) for row in of(found, "memory", "wrong"))
    assert of(found, "registry", "ok")


def test_a_server_behind_this_machine_s_memory(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    seen = owner.home / "seen.json"
    document = json.loads(seen.read_text())
    document["collections"][gun]["roles"]["timestamp"]["version"] += 7
    seen.write_text(json.dumps(document))
    row = the(rows(owner, gun), "memory")
    assert "is older than version" in str(row["text"])
    assert "docs/guides/restored-backup.md" in str(row["remedy"])
    (page,) = (Path(__file__).resolve().parents[2] / "docs" / "guides").glob("restored-backup.md")
    assert page.is_file()
    assert "is older than version" in str(the(rows(owner), "memory")["text"])


def test_the_lock_file(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("lock", gun)
    assert "at the root that is pinned here" in str(the(rows(owner, gun), "lock", "ok")["text"])
    lock = owner.folder / "trust.lock"
    good = lock.read_text()
    pin = owner.pin_of(gun)
    lock.write_text(good.replace(pin, f"sha256:{'0' * 64}"))
    found = rows(owner, gun)
    assert the(found, "lock")["remedy"] == (
        f"ask the publisher which is right; if the lock file is wrong: trust lock --replace {gun}"
    )
    assert "disagree about" in str(the(found, "collection")["text"])
    lock.write_text(good + "x")
    assert "trust.lock" in str(of(rows(owner, gun), "lock", "wrong")[0]["text"])


# --- the collection


def test_expiry(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    soon = LateUser(owner, 2)
    found = rows(soon, gun)
    assert "should have been renewed by the server" in str(of(found, "expiry", "wrong")[0]["text"])
    assert "clock" in wrong(found)
    past = rows(LateUser(owner, 5), gun)
    assert "timestamp version 2 expired on" in str(the(past, "collection")["text"])


def test_signers(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    (owner.folder / "keys").mkdir()
    owner.run("key", "generate", "alice", "--dir", "keys")
    owner.run("signer", "add", "--key", "keys/alice.pub", "alice", gun)
    found = rows(owner, gun)
    assert wrong(found) == set()
    assert "alice has signed nothing yet: TUF clients that load every delegation" in str(
        the(found, "delegation", "note")["text"]
    )
    assert of(found, "releases", "ok")
    owner.run("sign", f"{gun}:2.0@{begun.digest}")
    found = rows(owner, gun)
    assert of(found, "delegation") == []
    assert "as the repository key, alice" in str(the(found, "signing", "ok")["text"])

"""`trust-image-verifier` when something is wrong: it refuses, in one line, in time, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.hostile import Serve, always, between
from tests.support.bindir_runner import MEDIA_TYPE, descriptor, start_verifier
from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Wire, reply
from tests.support.loaded_modules import modules_loaded_by
from tests.support.pulling_node import PATIENT, Node, release, verifier
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, Put
from tests.support.trust_program import TrustUser

HOLDER = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""
D = OTHER_DIGEST
NAME = "127.0.0.1:1/app:1"
NO_CERTIFICATE = b"<html><head><title>400 No required SSL certificate was sent</title></head></html>"
ASKED = ("-name", NAME, "-digest", D, "-stdin-media-type", MEDIA_TYPE)


def never(_: Request, wire: Wire) -> None:
    """Take the request, and say nothing for as long as anybody waits."""
    wire.stopping.wait()
    wire.close()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node", {})


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A node that knows a collection with a signed tag, and what it would pull."""

    node: Node
    name: str
    digest: str
    owner: TrustUser


@pytest.fixture
def signed(tmp_path: Path, owner: TrustUser, gun: str, put: Put, trust_server: ServerProcess) -> Signed:
    image = release(owner, gun, put)
    node = Node(tmp_path / "signed-node", {gun.partition("/")[0]: trust_server.url}, verifier=PATIENT)
    node.admin.knows(gun, owner.pin_of(gun))
    return Signed(node=node, name=f"{gun}:1.0", digest=image.digest, owner=owner)


# --- time


def test_a_server_that_never_answers_is_refused_in_words_and_in_time(tmp_path: Path, serve: Serve) -> None:
    node = Node(tmp_path, {"127.0.0.1:1": serve(never).url}, verifier='timeout = "2s"')
    node.refuses(NAME, D, "no verdict within 2 s", "asking the trust server", "per_verifier_timeout", status=6)


def test_a_held_lock_ends_in_words_too(signed: Signed) -> None:
    """Another process holds rollback memory for ever: waiting for a lock is a system call that nothing interrupts."""
    node = signed.node
    node.config.write_text(node.config.read_text().replace(PATIENT, 'timeout = "2s"'))
    node.state.mkdir()
    command = [sys.executable, "-c", HOLDER, str(node.state / ".seen.json.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        node.refuses(signed.name, signed.digest, "no verdict within 2 s", "writing what was verified", status=6)
        process.communicate("")
    node.config.write_text(node.config.read_text().replace('timeout = "2s"', PATIENT))
    node.allows(signed.name, signed.digest)


def test_standard_input_that_never_ends_is_refused_in_time(tmp_path: Path) -> None:
    node = Node(tmp_path, {}, verifier='timeout = "1s"')
    with node.containerd.start("trust-image-verifier", NAME, D) as process:
        assert process.stdout is not None
        said = process.stdout.read()  # ends when the process does: nothing is written to it
        assert b"no verdict within 8 s, while reading the descriptor" in said
    assert process.returncode == 6


def test_containerd_s_own_timeout_denies_without_words(tmp_path: Path, serve: Serve) -> None:
    node = Node(tmp_path, {"127.0.0.1:1": serve(never).url}, verifier=PATIENT)
    node.containerd.per_verifier_timeout = 1.0
    node.refuses(NAME, D, "signal: killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_denies(tmp_path: Path, serve: Serve, number: signal.Signals) -> None:
    reached = threading.Event()

    def script(request: Request, wire: Wire) -> None:
        reached.set()
        never(request, wire)

    node = Node(tmp_path, {"127.0.0.1:1": serve(script).url})
    with node.containerd.start("trust-image-verifier", NAME, D) as process:
        assert process.stdin is not None
        process.stdin.write(descriptor(D))
        process.stdin.close()
        assert reached.wait(60)
        process.send_signal(number)
        assert process.wait(60) != 0


# --- the outside


def test_a_server_that_is_down_is_refused(tmp_path: Path) -> None:
    node = Node(tmp_path, {"127.0.0.1:1": "http://127.0.0.1:1"})
    node.refuses(NAME, D, "http://127.0.0.1:1 cannot be reached", status=6)


@pytest.mark.parametrize(
    ("answer", "status", "advice"),
    [
        (None, 6, "check the address ([servers] in {config}; else the registry's host)"),
        (reply(401, headers={"WWW-Authenticate": "Basic"}), 7, "docker --config '{docker}' login, with an account"),
        (reply(403), 7, "docker --config '{docker}' login, with an account"),
        (reply(500), 6, "run the same command again later"),
        (reply(400, NO_CERTIFICATE, {"Content-Type": "text/html"}), 7, "{docker}/tls/{netloc}/ as client.cert"),
    ],
)
def test_what_helps_names_the_files_that_the_hook_reads(
    tmp_path: Path, serve: Serve, answer: bytes | None, status: int, advice: str
) -> None:
    """With a settings file no option and no variable of `trust` counts, nor what is in anybody's home."""
    server = serve(always(answer or reply(200)))
    if answer is None:
        server.stop()
    node = Node(tmp_path, {"127.0.0.1:1": server.url}, verifier=PATIENT)
    docker = str(node.etc / "docker").replace("'", "'\"'\"'" if "'{docker}'" in advice else "'")
    wanted = advice.format(config=node.config, docker=docker, netloc=server.netloc)
    said = node.refuses(NAME, D, wanted, status=status)
    for foreign in ("--server", "TRUST_", "--cacert", "~/.docker", "DOCKER_CONFIG"):
        assert foreign not in said


def test_a_private_ca_goes_where_the_hook_looks_for_it(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    server = HostileServer(always(reply(404)), tls=authority.server_context(tmp_path))
    try:
        node = Node(tmp_path / "node", {"127.0.0.1:1": server.url}, verifier=PATIENT)
        folder = node.etc / "docker" / "tls" / server.netloc
        wanted = f"a private CA: name its file as cacert in {node.config}, or copy it to {folder}/ca.crt"
        assert "--cacert" not in node.refuses(NAME, D, wanted, status=6)
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(authority.file.read_bytes())
        node.refuses(NAME, D, "refused (404)", status=7)
        (folder / "ca.crt").rename(node.etc / "ca.crt")
        node.configure({"127.0.0.1:1": server.url}, verifier=PATIENT)
        node.config.write_text('cacert = "ca.crt"\n' + node.config.read_text())
        node.refuses(NAME, D, "refused (404)", status=7)
    finally:
        server.stop()


def test_without_a_server_for_docker_io_it_is_refused(node: Node) -> None:
    said = node.refuses("docker.io/library/alpine:3", D, "no trust server is known", status=2)
    assert str(node.config) in said


def test_a_proxy_variable_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    node = Node(tmp_path, {"registry.invalid": "https://trust.invalid"})
    node.containerd.environ = {**node.containerd.environ, "HTTPS_PROXY": "socks5://proxy.invalid:1"}
    node.refuses("registry.invalid/app:1", D, "HTTPS_PROXY", status=2)


# --- its own files


def test_a_settings_file_that_is_not_there_is_refused(node: Node) -> None:
    node.config.unlink()
    node.refuses(NAME, D, str(node.config), "trust doctor containerd", status=2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[verifier]\nallow = [", "TOML"),
        ('[verifier]\nallow = ["*"]', "verifier.allow[0]"),
        ('[verifier]\nallows = ["a"]', "verifier.allows"),
        ('[verifier]\ntimeout = "1h"', "verifier.timeout"),
    ],
)
def test_a_settings_file_that_is_wrong_is_refused(node: Node, text: str, named: str) -> None:
    node.config.write_text(text)
    node.refuses(NAME, D, named, status=2)


def test_without_any_home_it_is_refused_in_words() -> None:
    """A user that the machine does not know has no home, either."""
    code = "import os; os.getuid = lambda: 54321; from trustcli.hooks.containerd import main; main()"
    command = [sys.executable, "-c", code, *ASKED]
    done = subprocess.run(command, input=descriptor(D), capture_output=True, check=False, timeout=60, env={}, cwd="/")
    assert done.returncode == 2
    assert b"HOME cannot be used: is not set" in done.stdout


def test_with_a_settings_file_no_home_is_needed(signed: Signed) -> None:
    """Nor a passwd entry: Docker's configuration is looked for beside the settings file."""
    code = "import os; os.getuid = lambda: 54321; from trustcli.hooks.containerd import main; main()"
    asked = ("-name", signed.name, "-digest", signed.digest, "-stdin-media-type", MEDIA_TYPE)
    command = [sys.executable, "-c", code, "-config", str(signed.node.config), *asked]
    raw = descriptor(signed.digest)
    done = subprocess.run(command, input=raw, capture_output=True, check=False, timeout=60, env={}, cwd="/")
    assert done.returncode == 0, done.stdout


def test_without_config_the_environment_of_trust_counts(tmp_path: Path, signed: Signed) -> None:
    owner = signed.owner
    environ = {"PATH": os.environ["PATH"], "TRUST_HOME": str(owner.home), "TRUST_SERVER": owner.environ["TRUST_SERVER"]}
    asked = ("--name", signed.name, f"-digest={signed.digest}", f"--stdin-media-type={MEDIA_TYPE}")
    done = verifier(*asked, stdin=descriptor(signed.digest), env=environ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "elsewhere").mkdir()
    stranger = {**environ, "TRUST_HOME": str(tmp_path / "elsewhere"), "TRUST_TOFU": "1"}
    assert verifier(*asked, stdin=descriptor(signed.digest), env=stranger, cwd=tmp_path).returncode == 4


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"format": "other", "collections": {}}', None])
def test_damaged_memory_is_refused(signed: Signed, damage: bytes | None) -> None:
    seen = signed.node.state / "seen.json"
    signed.node.state.mkdir()
    if damage is None:
        seen.mkdir()
    else:
        seen.write_bytes(damage)
    signed.node.refuses(signed.name, signed.digest, str(seen), status=4)
    if damage is not None:
        assert seen.read_bytes() == damage


def test_memory_that_cannot_be_written_is_refused(signed: Signed) -> None:
    """Below /proc nobody, not even root, can make a folder."""
    asked = ("-name", signed.name, "-digest", signed.digest, "-stdin-media-type", MEDIA_TYPE)
    where = ("-config", str(signed.node.config), "-state", "/proc/nothing")
    done = verifier(*where, *asked, stdin=descriptor(signed.digest), env={})
    assert done.returncode == 1
    assert b"/proc/nothing/seen.json cannot be written" in done.stdout
    assert b"writable for the container runtime" in done.stdout


def test_pulls_at_the_same_time_share_one_memory(
    tmp_path: Path, owner: TrustUser, gun: str, put: Put, serve: Serve
) -> None:
    """Real processes over six collections, let go together just before they remember: none fails, none is forgotten."""
    names = [f"{gun}-{number}" for number in range(6)]
    together = threading.Barrier(len(names))

    def alter(request: Request, answer: bytes) -> bytes:
        if ".targets.json" in request.target:
            together.wait(60)
        return answer

    server = serve(between(owner.environ["TRUST_SERVER"], alter))
    node = Node(tmp_path / "node", {gun.partition("/")[0]: server.url}, verifier=PATIENT)
    digests = {}
    for name in names:
        digests[name] = put("1.0", text=name, repository=name).digest
        owner.run("init", name, "--no-recovery-key")
        owner.run("sign", f"{name}:1.0")
        node.admin.knows(name, owner.pin_of(name))
    with ThreadPoolExecutor(12) as pool:
        for round_ in (names, names * 2):  # in the second, all have their files in the cache
            pulls = [pool.submit(node.pull, f"{name}:1.0", digests[name]) for name in round_]
            assert [pull.result().reason for pull in pulls if not pull.result().ok] == []
            remembered = json.loads((node.state / "seen.json").read_text())["collections"]
            assert sorted(remembered) == names
            assert {name: remembered[name]["roles"]["targets"]["version"] for name in names} == dict.fromkeys(names, 2)
    assert [path.name for path in node.state.glob(".*.tmp")] == []


# --- what it is asked

HUGE = 10 * 1024 * 1024


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-digest",
        "UPPER/case:1",
        "https://registry.example.com/app:1",
        "registry.example.com/app:1\nnext line\x1b[31m",
        "registry.example.com/\u202eppa:1",
        "registry.example.com/../app:1",
        "registry.example.com:99999999/app:1",
        "registry.example.com/app:" + "x" * 129,
        "registry.example.com/app@sha256:short",
        "registry.example.com/app@sha512:" + "0" * 128,
        "registry.example.com/app@" + D + "@" + D,
        "a" * 100_000,
        "[::1]:5000",
        "registry.example.com/app:1 --config=/dev/null",
    ],
)
def test_a_hostile_name_is_refused_on_one_plain_line(node: Node, name: str) -> None:
    said = node.refuses(name, D, status=2)
    assert len(said) < 2000


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "holds no descriptor"),
        (b" \n", "holds no descriptor"),
        (b"\xff\xfe", "UTF-8"),
        (b"not json", "is no descriptor"),
        (b"[]", "must be an object"),
        (b'"sha256"', "must be an object"),
        (b"{}", "mediaType"),
        (descriptor(D)[:-3], "is no descriptor"),
        (descriptor(D) + b"{}", "is no descriptor"),
        (descriptor(D).replace(b'"size": 418', b'"size": 4.18e2'), "size"),
        (descriptor(D).replace(b'"size": 418', b'"size": true'), "size"),
        (descriptor(D).replace(b'"size": 418', b'"size": -1'), "size"),
        (descriptor(D).replace(b'"size": 418', b'"size": "418"'), "size"),
        (descriptor(D).replace(b'"size"', b'"digest": "' + D.encode() + b'", "size"'), "occurs twice"),
        (descriptor(D.replace("0", "1")), "-digest says"),
        (descriptor(D).replace(b'"digest"', b'"Digest"'), "describes None"),
        (b"[" * 50_000, "is no descriptor"),
        (descriptor(D)[:-2] + b" " * HUGE + b"}", "holds more than"),
    ],
)
def test_a_hostile_descriptor_is_refused(node: Node, raw: bytes, said: str) -> None:
    judged = node.pull(NAME, D, raw)
    assert (judged.ok, judged.status) == (False, 2)
    assert said.casefold() in judged.reason.casefold()


def test_annotations_in_a_descriptor_are_let_be(tmp_path: Path) -> None:
    node = Node(tmp_path, {}, verifier='allow = ["127.0.0.1:1/app"]')
    raw = descriptor(D).replace(b"{", b'{"annotations": {"org.example": "x"}, "urls": ["https://x"], ', 1)
    assert node.pull(NAME, D, raw).ok


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ASKED[:-2],
        ASKED[2:],
        (*ASKED[:2], *ASKED[4:]),
        (*ASKED, "more"),
        (*ASKED, "--"),
        (*ASKED, "-help"),
        (*ASKED, "--help"),
        (*ASKED, "-verbose"),
        (*ASKED, "---name", "x"),
        (*ASKED, "-name", NAME),
        (*ASKED, "--name=other"),
        (*ASKED, "-config"),
        (*ASKED, "-config="),
        (*ASKED[:-1], "application/json"),
        ("-name", NAME, "-digest", "sha256:ABC", *ASKED[4:]),
        ("-name", NAME, "-digest", "sha512:" + "0" * 128, *ASKED[4:]),
    ],
)
def test_arguments_that_are_not_the_contract_s_are_refused(arguments: tuple[str, ...]) -> None:
    done = start_verifier(arguments, descriptor(D), cwd=Path("/"), environ={}, seconds=60)
    assert done.returncode == 2
    assert done.stdout.startswith(b"the request cannot be judged: ")
    assert done.stdout.count(b"\n") == 1


def test_help_and_version_are_for_people_only() -> None:
    assert b"trust hook containerd" in verifier("--help", env={}).stdout
    assert verifier("--version", env={}).stdout.startswith(b"trust-image-verifier ")


# --- standard files


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-", "1>/dev/full"])
def test_closed_standard_files_deny_and_damage_nothing(tmp_path: Path, closed: str) -> None:
    """With standard output closed, the next file opened would get its number: rollback memory, for one."""
    node = Node(tmp_path / "node", {}, verifier='allow = ["127.0.0.1:1/app"]')
    raw = tmp_path / "descriptor"
    raw.write_bytes(descriptor(D))
    entry = node.containerd.bin_dir / "trust-image-verifier"
    stdin = "" if "0<&-" in closed else '< "$2"'
    command = f'"$1" -name {NAME} -digest {D} -stdin-media-type {MEDIA_TYPE} {stdin} {closed}'
    done = subprocess.run(["sh", "-c", command, "sh", entry, raw], capture_output=True, check=False, timeout=60, env={})
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


def test_only_standard_error_closed_changes_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path, {}, verifier='allow = ["127.0.0.1:1/app"]')
    entry = node.containerd.bin_dir / "trust-image-verifier"
    command = f'"$1" -name {NAME} -digest {D} -stdin-media-type {MEDIA_TYPE} 2>&-'
    done = subprocess.run(
        ["sh", "-c", command, "sh", entry], input=descriptor(D), capture_output=True, check=False, timeout=60, env={}
    )
    assert done.returncode == 0, done.stdout


def test_too_little_memory_denies(tmp_path: Path) -> None:
    node = Node(tmp_path, {}, verifier='allow = ["127.0.0.1:1/app"]')
    entry = node.containerd.bin_dir / "trust-image-verifier"
    for kilobytes in (12_000, 20_000, 26_000, 32_000):
        command = (
            f'ulimit -v {kilobytes}; exec "$1" -name 127.0.0.1:1/other:1 -digest {D} -stdin-media-type {MEDIA_TYPE}'
        )
        done = subprocess.run(
            ["sh", "-c", command, "sh", entry],
            input=descriptor(D),
            capture_output=True,
            check=False,
            timeout=60,
            env={},
        )
        assert done.returncode != 0


def test_it_starts_without_frameworks() -> None:
    loaded = modules_loaded_by("import trustcli.hooks.containerd, trustcli.hooks.admission, trustcli.session")
    heavy = {
        "typer",
        "click",
        "rich",
        "argparse",
        "urllib3",
        "fastapi",
        "sqlalchemy",
        "requests",
        "trustcli.commands.table",
    }
    assert heavy & loaded == set()


@pytest.mark.parametrize(
    ("lacking", "more", "said"),
    [
        ("trustcli.hooks.containerd_refusal", ["-nonsense"], b"refused: this image cannot be judged\n"),
        ("trustcli.hooks.containerd_refusal", [], b"refused: this image cannot be judged\n"),
        ("trustcli.session", [], b"this should not happen (ModuleNotFoundError in trustcli.hooks.containerd:"),
    ],
)
def test_what_is_imported_late_refuses_in_words_where_it_is_lacking(lacking: str, more: list[str], said: bytes) -> None:
    code = f"import sys; sys.modules['{lacking}'] = None; from trustcli.hooks.containerd import main; main()"
    command = [sys.executable, "-c", code, *ASKED, *more]
    done = subprocess.run(command, input=descriptor(D), capture_output=True, check=False, timeout=60, env={})
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.startswith(said)


def test_a_credential_helper_that_hangs_is_ended_with_the_verdict(tmp_path: Path, serve: Serve) -> None:
    """It has a process group of its own: containerd's killing would not reach it."""
    server = serve(always(reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})))
    node = Node(tmp_path / "node", {"127.0.0.1:1": server.url}, verifier='timeout = "12s"')
    helper = tmp_path / "programs" / "docker-credential-slow"
    helper.parent.mkdir()
    helper.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec tail -f /dev/null\n')
    helper.chmod(0o755)
    docker = node.etc / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"credsStore": "slow"}))
    node.containerd.environ = {"PATH": f"{helper.parent}:{os.environ['PATH']}"}
    node.refuses(NAME, D, "docker-credential-slow", status=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)

"""What is said of a mistake, of nothing found, and of what is there already: true, and with what helps."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.hostile import Serve, always
from tests.support.hostile_server import json_reply
from tests.support.odd_keys import ODD_KEYS
from tests.support.trust_program import TrustUser
from trustcli.__main__ import run

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process; a server is never reached."""
    for name, value in {
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "TRUST_HOME": str(tmp_path / "home"),
        "TRUST_SERVER": "http://127.0.0.1:1",
        "TRUST_NON_INTERACTIVE": "1",
        "TRUST_REPOSITORY_PASSPHRASE": "a long passphrase",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def started(*argv: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = run(argv)
        said = capsys.readouterr()
        return status, said.out, said.err

    return started


@pytest.mark.parametrize(
    ("argv", "help_command"),
    [
        (("key", "rotate"), "trust key rotate --help"),
        (("key", "rotate", "--nothing", "root", "a.invalid/b"), "trust key rotate --help"),
        (("key", "rotate", "tagets", "a.invalid/b"), "trust key rotate --help"),
        (("key", "--json", "generate", "a", "--purpose", "sinner"), "trust key generate --help"),
        (("key", "rotat"), "trust key rotate --help"),
        (("key", "xyzzy"), "trust key --help"),
        (("verfy", "sign"), "trust verify --help"),
        (("verify", "--max-age"), "trust verify --help"),
        (("signer", "add"), "trust signer add --help"),
        (("sign",), "trust sign --help"),
        (("verify", "--nothing"), "trust verify --help"),
        (("nothing",), "trust --help"),
    ],
)
def test_the_help_is_that_of_the_command(trust: Run, argv: tuple[str, ...], help_command: str) -> None:
    status, _, said = trust(*argv)
    assert status == 2
    assert f"  next: {help_command}\n" in said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("key", "rotate", "tagets", "a.invalid/b"), "root, targets, snapshot, timestamp; did you mean 'targets'?"),
        (("key", "generate", "a", "--purpose", "sinner"), "; did you mean 'signer'?"),
        (("init", "a.invalid/b", "--format", "nottary"), "write one of tuf, notary; did you mean 'notary'?"),
        (("pins", "--as", "comands"), "; did you mean 'commands'?"),
        (("pins", "--as", "xyzzy"), "is unknown; write one of "),
    ],
)
def test_a_value_that_is_none_of_the_choices(trust: Run, argv: tuple[str, ...], words: str) -> None:
    status, _, said = trust(*argv)
    assert status == 2
    assert words in said
    assert "xyzzy" not in argv or "did you mean" not in said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("key", "list"), "no private key is in the key store; trust key generate NAME makes one, "),
        (("pins",), "nothing is pinned here; trust pin NAME REF does it\n"),
        (("pins", "--format", "notary"), "nothing is pinned here in the format notary-v1; "),
    ],
)
def test_an_empty_list_is_told_beside_it(trust: Run, argv: tuple[str, ...], words: str) -> None:
    status, told, said = trust(*argv)
    assert (status, told) == (0, "")
    assert said.startswith(words)


def test_bad_lines_of_a_list_stand_one_below_the_other(trust: Run) -> None:
    stdin = "a.invalid/b\n# no name\nUPPER\n" + "c d\x1b\n" * 11
    status, _, said = trust("signer", "list", "--names", "-", stdin=stdin)
    assert status == 2
    first, *lines, more, following = said.splitlines()
    assert first == "error: --names: standard input has 12 lines that name no collections"
    assert lines[0].startswith("  line 3: 'UPPER' is no valid image reference")
    assert [line.partition(":")[0] for line in lines] == [f"  line {number}" for number in range(3, 13)]
    assert (more, following) == ("  and 2 more", "  next: trust signer list --help")
    status, told, _ = trust("signer", "list", "--names", "-", "--json", stdin=stdin)
    bad = json.loads(told)["error"]["details"]["lines"]
    assert [(row["line"], row["text"]) for row in bad] == [(3, "UPPER"), *((n, "c d\\x1b") for n in range(4, 15))]
    assert all(row["reason"].startswith(f"'{row['text']}' is no valid image reference") for row in bad)


def test_a_server_without_its_scheme(trust: Run) -> None:
    for given in ("trust.example.com", "localhost:4443", "[::1]:4443/trust"):
        status, _, said = trust("--server", given, "verify", "a.invalid/b:1")
        assert status == 2
        assert f"  next: write it with its scheme: https://{given} (a server without TLS: http://{given})\n" in said
    for given in ("http://", "not a host"):
        assert "next:" not in trust("--server", given, "verify", "a.invalid/b:1")[2]
    assert "scheme" not in trust("verify", "NO NAME:1")[2]


def test_a_key_that_is_here_already_has_nothing_to_do(trust: Run, tmp_path: Path) -> None:
    file = ODD_KEYS / "openssl" / "plain.pem"
    assert trust("key", "import", str(file), "--name", "alice")[0] == 0
    (row,) = json.loads(trust("key", "list", "--json")[1])["keys"]
    status, told, said = trust("key", "import", str(file))
    assert (status, told) == (0, "")
    assert said == f"{file}: signer key alice ({row['keyid'][:12]}) is in the key store already: nothing to do\n"
    assert json.loads(trust("key", "import", str(file), "--json")[1])["keyid"] == row["keyid"]
    sealed = next((tmp_path / "home" / "private").glob("*.key"))
    assert trust("key", "import", str(sealed))[2].endswith("is in the key store already: nothing to do\n")
    status, _, said = trust("key", "generate", "alice")
    assert status == 8
    assert f"another key in the key store has the name alice, signer key alice ({row['keyid'][:12]})" in said
    assert "next: give the new one another name" in said


@pytest.mark.parametrize("bad", [1, 10, 11, 15])
def test_every_bad_line_of_a_list_is_told(trust: Run, tmp_path: Path, bad: int) -> None:
    lines = ["a.invalid/good"] + [f"a.invalid/BAD{number}" for number in range(bad)]
    (tmp_path / "names").write_text("\n".join(lines))
    status, _, said = trust("expiring", "--names", "names")
    assert status == 2
    alone = "error: --names: names, line 2: 'a.invalid/BAD0' is no valid "
    several = f"error: --names: names has {bad} lines that name no collections\n  line 2: 'a.invalid/BAD0' is no valid "
    assert said.startswith(alone if bad == 1 else several)
    assert [f"line {number + 2}: " in said for number in range(bad)] == [number < 10 for number in range(bad)]
    assert ("\n  and 1 more\n" in said) is (bad == 11)
    assert ("\n  and 5 more\n" in said) is (bad == 15)


def _pin(home: Path, *names: str) -> None:
    home.mkdir(exist_ok=True)
    entry = 'pin = "sha256:{}"\nformat = "tuf-1.0"\nrecorded = 2026-01-02T03:04:05Z\nhow = "init"\n'
    (home / "pins.toml").write_text("".join(f'[pins."{name}"]\n{entry.format("0" * 64)}' for name in names))


def test_what_cannot_be_read_may_well_run_out(trust: Run, tmp_path: Path) -> None:
    assert trust("expiring")[2] == "no collection is known here by a pin, so there is nothing to look at\n"
    assert trust("renew")[2].startswith("no collection is pinned here: nothing to do\n")
    status, _, said = trust("expiring", "a.invalid/b")
    assert status == 6
    assert "whether anything runs out is not known: 1 collection could not be read\n" in said
    assert "2 collections could not be read\n" in trust("expiring", "a.invalid/b", "a.invalid/c")[2]


def test_nobody_is_asked_to_confirm_what_cannot_be_done(trust: Run) -> None:
    status, _, said = trust("revoke", "a.invalid/b:1")
    assert status == 6
    assert "--yes" not in said
    status, told, said = trust("--json", "revoke", "a.invalid/b:1", "a.invalid/c:1")
    assert status == 6
    assert [(row["state"], row["revoked"]) for row in json.loads(told)["collections"]] == [("failed", [])] * 2
    assert "2 collections: 2 failed; nothing was sent" in said


def test_doctor_tells_one_cause_once(trust: Run, tmp_path: Path) -> None:
    def causes(*names: str) -> list[dict[str, Any]]:
        _pin(tmp_path / "home", *names)
        findings = json.loads(trust("doctor", "--json")[1])["findings"]
        return [each for each in findings if each["check"] == "collection" and each["severity"] == "wrong"]

    (one,) = causes("a.invalid/b")
    assert one["place"] == "a.invalid/b"
    (both,) = causes("a.invalid/b", "a.invalid/c")
    assert both["place"] == "a.invalid/b, a.invalid/c"
    assert both["text"] == f"2 collections: {one['text']}"
    (many,) = causes(*(f"a.invalid/c{number}" for number in range(12)))
    assert many["place"].endswith("a.invalid/c7 and 2 more")


def test_init_that_fails_says_what_it_has_left(tmp_path: Path, serve: Serve) -> None:
    absent = json_reply(404, {"code": "no-trust-data"}, {"Content-Type": "application/problem+json"})
    person = TrustUser(tmp_path / "person", serve(always(absent)).url)
    recovery = person.environ.pop("TRUST_RECOVERY_PASSPHRASE")
    command, same = ("init", "a.invalid/b", "--recovery-key", "recovery.pem"), "under the same passphrase"
    said = person.run(*command, expect=8)
    (root,) = person.run("--json", "key", "list").document()["keys"]
    made = f"root key ({root['keyid'][:12]})"
    said.said(f"a.invalid/b was not made; {made} is kept, and the next trust init uses it, {same}\n")
    assert "was not made" not in person.run(*command, expect=8).stderr, "nothing more was made"
    said = person.run(*command, expect=7, TRUST_RECOVERY_PASSPHRASE=recovery)
    kept = person.run("--json", "key", "list").document()["keys"]
    (repository,) = [row for row in kept if row["purpose"] == "targets"]
    made = f"targets key ({repository['keyid'][:12]}) and the recovery key recovery.pem"
    said.said(f"a.invalid/b was not made; {made} are kept; the next trust init uses them, {same}\n")
    again = person.run(*command, expect=7, TRUST_RECOVERY_PASSPHRASE=recovery)
    assert "was not made" not in again.stderr, "all of it was there before"
    assert len(kept) == 2

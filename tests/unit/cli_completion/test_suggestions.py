"""What is suggested where, from what this machine knows; nothing hostile, nothing printed, nothing asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.known_home import APP, cached, key, pin, store
from trustcli.__main__ import run
from trustcli.completion.suggestions import MOST
from trustcli.hooks import docker_plugin
from trustdata.gun import parse_gun
from trustdata.roles import RELEASES, TARGETS

OTHER = parse_gun("docker.io/library/alpine")


class Typist:
    """Somebody who presses the tab key. `here`: what there is in the home folder."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys

    def read(self, status: int) -> tuple[list[str], int]:
        printed = self._capsys.readouterr()
        assert (status, printed.err) == (0, "")
        *words, directive = printed.out.splitlines()
        return words, int(directive.removeprefix(":"))

    def tab(self, *words: str) -> list[str]:
        """The words that are suggested."""
        return self.read(run(["__complete", *words]))[0]

    def directive(self, *words: str) -> int:
        return self.read(run(["__complete", *words]))[1]


@pytest.fixture
def typist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typist]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("TRUST_HOME", str(home))
    monkeypatch.delenv("TRUST_SERVER", raising=False)
    monkeypatch.chdir(tmp_path)

    opened: list[object] = []

    def refuse(*place: object, **_: object) -> None:
        opened.append(place)
        raise OSError

    # Nothing that pytest-socket replaces: it puts that back before this would, and the next test may need it.
    monkeypatch.setattr(socket, "create_connection", refuse)
    yield Typist(home, capsys)
    assert opened == []


def test_commands_and_options(typist: Typist) -> None:
    assert typist.tab("ver") == ["verify"]
    assert typist.tab("--home", "/x", "ver") == ["verify"]
    assert typist.tab("key", "r") == ["remove", "restore", "rotate"]
    assert {"--format", "--signer", "--json", "--server", "--help"} <= set(typist.tab("sign", "--"))
    assert "--format" not in typist.tab("--")
    assert typist.tab("sign", "--loc") == ["--local", "--lock"]
    assert typist.tab("doctor", "") == ["containerd"]
    assert typist.tab("doctor", "containerd", "--c") == ["--cacert", "--config"]
    assert typist.tab("doctor", "app", "") == []
    assert typist.tab("nonsense", "") == []
    assert typist.tab("sign", "--", "--") == []


def test_values_of_options_and_arguments(typist: Typist) -> None:
    assert typist.tab("sign", "--format", "") == ["notary", "tuf"]
    assert typist.tab("sign", "--format=n") == ["--format=notary"]
    assert typist.tab("pins", "--as", "") == ["commands", "names", "table"]
    assert typist.tab("key", "rotate", "") == ["root", "snapshot", "targets", "timestamp"]
    assert typist.tab("key", "rotate", "--plan", "t") == ["targets", "timestamp"]
    assert typist.tab("completion", "") == ["bash", "fish", "zsh"]
    assert typist.tab("verify", "--max-age", "") == []


def test_files_and_folders_are_the_shell_s(typist: Typist) -> None:
    assert typist.directive("verify", "--policy", "") == 0
    assert typist.directive("verify", "--policy=") == 0
    assert typist.directive("--home", "") == 16
    assert typist.directive("key", "load", "") == 0
    assert typist.directive("verify", "") != 0


def test_names_and_tags(typist: Typist) -> None:
    pin(typist.home, APP, OTHER)
    cached(typist.home, APP, ["1.0", "1.1", "latest"])
    assert typist.tab("verify", "reg") == [APP]
    assert typist.directive("verify", "reg") == 6, "a tag may follow"
    assert typist.tab("verify", f"{APP}:1") == [f"{APP}:1.0", f"{APP}:1.1"]
    assert typist.tab("verify", "x:1", APP) == [APP, f"{APP}:1.0", f"{APP}:1.1", f"{APP}:latest"]
    assert typist.tab("delete", "reg") == [APP]
    assert typist.directive("delete", "reg") == 4
    assert typist.tab("verify", "alp") == ["alpine"]
    assert typist.tab("verify", "docker.io/l") == [OTHER]
    assert typist.tab("verify", "registry.example.com:5") == [APP], "the port of a host is no tag"


def test_names_of_memory_and_cache_count_too(typist: Typist) -> None:
    cached(typist.home, parse_gun("r.example/cached"), [])
    seen = {"format": "content-trust-seen-1", "collections": {"r.example/seen": {}}}
    (typist.home / "seen.json").write_text(json.dumps(seen))
    assert typist.tab("audit", "r.") == ["r.example/cached", "r.example/seen"]


def test_an_alias_has_the_tags_of_its_collection(typist: Typist) -> None:
    mirror = parse_gun("mirror.example/app")
    pin(typist.home, APP)
    pin(typist.home, mirror, named=APP)
    cached(typist.home, APP, ["1.0"])
    assert typist.tab("verify", f"{mirror}:") == [f"{mirror}:1.0"]


def test_signers_and_keys(typist: Typist) -> None:
    pin(typist.home, APP)
    cached(typist.home, APP, [], signers=["alice", "anna"])
    keyid = key(typist.home, "bob")
    assert typist.tab("verify", "--signer", "") == ["alice", "anna", "bob"]
    assert typist.tab("sign", "r.example/other:1", "--signer", "") == ["bob"]
    assert typist.tab("signer", "remove", "al") == ["alice"]
    assert typist.tab("signer", "remove", "alice", "") == [APP]
    assert typist.tab("key", "export", "") == sorted([keyid[:12], "bob"])


@pytest.mark.parametrize(
    "words",
    [
        ("key", "show"),
        ("key", "compromised"),
        ("key", "rotate", "root", "--key"),
        ("key", "rotate", "root", "--replace"),
        ("key", "rotate", "root", "--all-with"),
        ("signer", "rotate", "alice", "--new-key"),
        ("signer", "rotate", "alice", "--replace"),
    ],
    ids=" ".join,
)
def test_what_may_be_a_key_or_a_file_is_either(typist: Typist, words: tuple[str, ...]) -> None:
    assert typist.directive(*words, "bob") == 0, "nothing is known here, so it is a file"
    keyid = key(typist.home, "bob")
    assert typist.tab(*words, "") == sorted([keyid[:12], "bob"])
    assert typist.directive(*words, "b") == 4
    assert (typist.tab(*words, "./b"), typist.directive(*words, "./b")) == ([], 0)


def test_servers_of_the_settings(typist: Typist) -> None:
    (typist.home / "trust.toml").write_text('[servers]\n"r.example" = "https://trust.example.com"\n')
    assert typist.tab("collections", "") == ["https://trust.example.com"]


def test_the_home_that_is_named_counts(typist: Typist, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    pin(elsewhere, APP)
    assert typist.tab("audit", "") == []
    assert typist.tab("--home", str(elsewhere), "audit", "") == [APP]


HOSTILE = ["1.0", "\x1b]0;gone\x07", "a b", "$(reboot)", "`x`", "a;b", "ä", "a\nb", "../up", "-rf", "'", "\\", "*", ""]


def test_nothing_hostile_reaches_the_terminal(typist: Typist) -> None:
    pin(typist.home, APP)
    cached(typist.home, APP, HOSTILE, signers=["ok", *HOSTILE[1:]])
    store(typist.home, parse_gun("r.example/x"), TARGETS, b"{}")
    (typist.home / "cache" / "tuf-1.0" / "%1B%5B31m").mkdir()
    (typist.home / "cache" / "tuf-1.0" / "--plan").mkdir()
    assert typist.tab("verify", f"{APP}:") == [f"{APP}:1.0"]
    assert typist.tab("signer", "remove", "") == ["ok"]
    assert typist.tab("audit", "") == ["r.example/x", APP]


def test_too_many_are_told_by_their_beginnings(typist: Typist) -> None:
    pin(typist.home, APP)
    cached(typist.home, APP, [f"build-{number:05}" for number in range(40 * MOST)])
    found = typist.tab("verify", f"{APP}:")
    assert found == [f"{APP}:build-{number:03}" for number in range(200)]
    assert typist.directive("verify", f"{APP}:") == 6
    assert typist.tab("verify", f"{APP}:build-0123") == [f"{APP}:build-0123{last}" for last in range(10)]


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"[", b"{", b"", b"[]", b'{"signed": []}', b"[" * 100_000])
@pytest.mark.parametrize("file", ["pins.toml", "seen.json", "trust.toml", "private/" + "ab" * 32 + ".key", "targets"])
def test_a_damaged_file_suggests_nothing_and_says_nothing(typist: Typist, file: str, damage: bytes) -> None:
    pin(typist.home, APP)
    cached(typist.home, APP, ["1.0"])
    if file == "targets":
        for role in (TARGETS, RELEASES):
            store(typist.home, APP, role, damage)
    else:
        (typist.home / file).parent.mkdir(exist_ok=True, mode=0o700)
        (typist.home / file).write_bytes(damage)
    before = {path: path.read_bytes() for path in typist.home.rglob("*") if path.is_file()}
    for words in (["verify", ""], ["verify", f"{APP}:"], ["key", "export", ""], ["signer", "remove", ""]):
        assert set(typist.tab(*words)) <= {APP, f"{APP}:1.0"}
    assert {path: path.read_bytes() for path in typist.home.rglob("*") if path.is_file()} == before


def test_what_is_sound_is_suggested_beside_what_is_damaged(typist: Typist) -> None:
    cached(typist.home, APP, ["1.0"])
    (typist.home / "pins.toml").write_text("[")
    assert typist.tab("verify", "") == [APP]
    (typist.home / "trust.toml").write_text("[")
    assert typist.tab("doctor", "") == ["containerd"], "no file is needed for that"


def test_bash_gets_what_it_has_not_got_yet(typist: Typist) -> None:
    pin(typist.home, APP)
    cached(typist.home, APP, ["1.0"])

    def tab(line: str) -> list[str]:
        return typist.read(run(["__complete_line", line, " \t\n\"'@><=;|&(:"]))[0]

    assert tab("trust verify reg") == [APP]
    assert tab(f"trust verify {APP}:1") == ["1.0"]
    assert tab(f"trust --home={typist.home}/none verify reg") == []


def test_nothing_is_made_where_nothing_is(typist: Typist) -> None:
    for words in (["verify", ""], ["verify", f"{APP}:"], ["key", "export", ""], ["signer", "remove", ""]):
        assert typist.tab(*words) == []
    assert list(typist.home.iterdir()) == []


@pytest.mark.parametrize("argv", [["__complete"], ["__complete_line"], ["__complete_line", "a", "b", "c"]])
def test_it_never_fails(typist: Typist, argv: list[str]) -> None:
    words, directive = typist.read(run(argv))
    assert directive == 4
    assert "error" not in " ".join(words)


def test_docker_is_answered_what_docker_trust_has(typist: Typist) -> None:
    pin(typist.home, APP)

    def tab(*words: str) -> list[str]:
        return typist.read(docker_plugin.main(["__complete", *words], run))[0]

    assert tab("trust", "") == ["inspect", "key", "pull", "revoke", "sign", "signer"]
    assert tab("ctrust", "sign", "reg") == [APP]
    assert tab("trust", "renew", "") == []

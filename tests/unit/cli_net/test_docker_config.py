from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trustcli.config.credential import Credential
from trustcli.config.docker_config import DockerConfig, docker_config_dir
from trustcli.errors import SettingsUnusable
from trustdata.limits import MAX_ANSWER_VALUES

Write = Callable[[object], DockerConfig]


@pytest.fixture
def config(environ: dict[str, str]) -> Write:
    def write(content: object) -> DockerConfig:
        folder = docker_config_dir(environ)
        folder.mkdir(exist_ok=True)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / "config.json").write_bytes(raw)
        return DockerConfig(environ, helper_timeout=5)

    return write


@pytest.fixture
def helper(environ: dict[str, str], tmp_path: Path) -> Callable[[str, str], None]:
    """Install a credential helper: a shell script. It may use `$server`, what it was asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def install(name: str, script: str) -> None:
        file = folder / f"docker-credential-{name}"
        file.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nserver=$(cat)\n{script}\n')
        file.chmod(0o700)

    return install


Install = Callable[[str, str], None]


def encoded(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def secrets_of(found: Credential | None) -> tuple[str, str, str, str] | None:
    return (found.username, found.password, found.identity_token, found.registry_token) if found else None


def test_nothing_there_is_nothing_stored(environ: dict[str, str]) -> None:
    assert DockerConfig(environ).credential_for("r.example") is None
    assert docker_config_dir({"HOME": "/home/a"}) == Path("/home/a/.docker")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (encoded("alice:pass:word"), ("alice", "pass:word", "", "")),
        (encoded("ålice:pässword"), ("ålice", "pässword", "", "")),
        (encoded("alice:padded\0\0"), ("alice", "padded", "", "")),
        ({"username": "alice", "password": "pw"}, ("alice", "pw", "", "")),
        ({**encoded("alice:"), "identitytoken": "idt"}, ("alice", "", "idt", "")),
        (encoded("<token>:idt"), ("", "", "idt", "")),
        ({"registrytoken": "rt"}, ("", "", "", "rt")),
        ({}, None),
        ({"auth": ""}, None),
        ({"username": "alice"}, None),
    ],
)
def test_kinds_of_entries(config: Write, entry: object, expected: object) -> None:
    found = config({"auths": {"r.example:5000": entry}}).credential_for("r.example:5000")
    assert secrets_of(found) == expected


@pytest.mark.parametrize("server", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_one_key(config: Write, server: str) -> None:
    stored = config({"auths": {"https://index.docker.io/v1/": encoded("a:b")}})
    assert secrets_of(stored.credential_for(server)) == ("a", "b", "", "")


def test_keys_may_be_urls_but_the_exact_one_comes_first(config: Write) -> None:
    stored = config({"auths": {"https://r.example/v2/": encoded("url:x"), "r.example": encoded("exact:x")}})
    assert secrets_of(stored.credential_for("r.example")) == ("exact", "x", "", "")
    stored = config({"auths": {"https://r.example/v2/": encoded("url:x")}})
    assert secrets_of(stored.credential_for("r.example")) == ("url", "x", "", "")
    for other in ("r.example:5000", "example", "x.r.example", "other.example"):
        assert stored.credential_for(other) is None


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        {"auths": []},
        {"auths": {"r.example": "x"}},
        {"auths": {"r.example": {"auth": 5}}},
        {"auths": {"r.example": {"auth": "!!!"}}},
        {"auths": {"r.example": encoded("no colon")}},
        {"credHelpers": []},
        {"credHelpers": {"r.example": 5}},
        {"credsStore": {}},
        {"credsStore": "../../evil"},
        {"credsStore": "a b"},
    ],
)
def test_a_malformed_file_is_named(config: Write, content: object) -> None:
    stored = config(content)
    with pytest.raises(SettingsUnusable) as caught:
        stored.credential_for("r.example")
    assert caught.value.place == stored.path
    assert stored.path.endswith("docker/config.json")


def test_a_file_with_too_many_values_is_said_to_be_that(config: Write) -> None:
    with pytest.raises(SettingsUnusable, match=str(MAX_ANSWER_VALUES)):
        config({"auths": {}, "plugins": [0] * MAX_ANSWER_VALUES}).credential_for("r.example")


def test_secrets_are_in_no_message(config: Write) -> None:
    stored = config({"auths": {"r.example": {"auth": base64.b64encode(b"hunter2").decode()}}})
    with pytest.raises(SettingsUnusable) as caught:
        stored.credential_for("r.example")
    assert caught.value.__cause__ is None
    assert "aHVudGVyMg" not in str(caught.value)
    found = config({"auths": {"r.example": encoded("alice:hunter2")}}).credential_for("r.example")
    assert "hunter2" not in repr(found)


def test_a_helper_is_asked_for_the_server(config: Write, helper: Install) -> None:
    helper("store", """printf '{"ServerURL":"x","Username":"bob","Secret":"for %s"}' "$server" """)
    helper("own", """echo '{"Username":"<token>","Secret":"idt"}'""")
    stored = config({"credsStore": "store", "credHelpers": {"own.example": "own"}})
    assert secrets_of(stored.credential_for("r.example")) == ("bob", "for r.example", "", "")
    assert secrets_of(stored.credential_for("docker.io")) == ("bob", "for https://index.docker.io/v1/", "", "")
    assert secrets_of(stored.credential_for("own.example")) == ("", "", "idt", "")


@pytest.mark.parametrize("stream", ["1", "2"])
def test_credentials_not_found_is_no_error(config: Write, helper: Install, stream: str) -> None:
    helper("store", f"echo 'credentials not found in native keychain' >&{stream}; exit 1")
    stored = config({"credsStore": "store", "auths": {"r.example": encoded("a:b")}})
    assert stored.credential_for("other.example") is None
    assert secrets_of(stored.credential_for("r.example")) == ("a", "b", "", "")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'the keyring is locked'; exit 1", "status 1: the keyring is locked"),
        ('echo \'{"Secret":"hunter2"}\'; exit 1', "status 1"),
        ("exit 3", "status 3"),
        ("echo nonsense", "Username and Secret"),
        ("echo '[]'", "Username and Secret"),
        ('echo \'{"Username":"a","Secret":5}\'', "Username and Secret"),
    ],
)
def test_a_helper_that_fails_is_named(config: Write, helper: Install, script: str, reason: str) -> None:
    helper("store", script)
    with pytest.raises(SettingsUnusable, match=reason) as caught:
        config({"credsStore": "store"}).credential_for("r.example")
    assert caught.value.place == "docker-credential-store"
    assert "hunter2" not in str(caught.value)


def test_a_missing_helper_is_named_with_the_file(config: Write, helper: Install) -> None:
    stored = config({"credsStore": "nowhere"})
    with pytest.raises(SettingsUnusable, match=r"docker-credential-nowhere.*config\.json"):
        stored.credential_for("r.example")


def test_a_helper_that_hangs_is_stopped(config: Write, helper: Install, environ: dict[str, str]) -> None:
    helper("store", "exec cat /dev/zero | { read -r never; }")
    config({"credsStore": "store"})
    with pytest.raises(SettingsUnusable, match="no answer within"):
        DockerConfig(environ, helper_timeout=0.1).credential_for("r.example")


def test_helpers_see_no_passphrase(config: Write, helper: Install, environ: dict[str, str]) -> None:
    names = [
        "TRUST_ROOT_PASSPHRASE",
        "TRUST_REPOSITORY_PASSPHRASE_FILE",
        "TRUST_RECOVERY_PASSPHRASE_FD",
        "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE",
        "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    ]
    environ.update(dict.fromkeys(names, "secret"), TRUST_SERVER="stays")
    helper("store", """printf '{"Username":"%s","Secret":"x"}' "$(env | grep -c PASSPHRASE) $TRUST_SERVER" """)
    found = config({"credsStore": "store"}).credential_for("r.example")
    assert found is not None
    assert found.username == "0 stays"


@pytest.mark.parametrize("typed", ["R.Example", "r.example:443", "https://R.EXAMPLE:443/v2/", "http://r.example"])
def test_a_host_is_found_however_it_was_typed_at_the_login(config: Write, typed: str) -> None:
    found = config({"auths": {"other.example": encoded("o:o"), typed: encoded("a:b")}}).credential_for("r.example")
    assert found is not None
    assert (found.username, found.entry) == ("a", typed)
    assert config({"auths": {"r.example:5000": encoded("a:b")}}).credential_for("r.example") is None
    short = config({"auths": {"registry": encoded("a:b")}}).credential_for("registry:443")
    assert short is not None
    assert short.username == "a"


def test_a_helper_is_asked_by_the_name_that_was_typed_at_the_login(config: Write, helper: Install) -> None:
    helper(
        "store",
        """[ "$server" = R.Example:443 ] && echo '{"Username":"a","Secret":"b"}' && exit
        echo 'credentials not found'; exit 1""",
    )
    for which in ({"credsStore": "store"}, {"credHelpers": {"R.example": "store"}}):
        found = config({"auths": {"R.Example:443": {}}, **which}).credential_for("r.example")
        assert found is not None
        assert found.username == "a"
    assert config({"credsStore": "store"}).credential_for("r.example") is None


def test_the_older_dockercfg_is_read(config: Write) -> None:
    found = config({"r.example": encoded("a:b"), "https://s.example/v1/": {"username": "c", "password": "d"}})
    for server, user in (("r.example", "a"), ("s.example", "c")):
        credential = found.credential_for(server)
        assert credential is not None
        assert credential.username == user
    # With a member of today's format the file is of that format.
    assert config({"credHelpers": {}, "r.example": encoded("a:b")}).credential_for("r.example") is None
    assert config({"HttpHeaders": {"r.example": "x"}, "psFormat": "x"}).credential_for("HttpHeaders") is None

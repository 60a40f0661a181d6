"""What `trust login` writes into Docker's file, and what it leaves as it is."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from trustcli.client.trust_credentials import EnvironmentToken, TrustServerCredentials
from trustcli.config.settings import Settings
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.config.trust_logins import TrustLogins
from trustcli.errors import SettingsUnusable

HOST = "trust.example.com:4443"
KEY = f"content-trust+https://{HOST}"
HELPER = """#!/bin/sh
echo "$1" >> {folder}/asked
case "$1" in
  store) cat > {folder}/kept ;;
  get) cat >/dev/null; cat {folder}/kept 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }} ;;
  erase) cat >/dev/null; rm -f {folder}/kept ;;
esac
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker" / "config.json"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(tmp_path / "docker"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}


def found(environ: dict[str, str], server: str) -> tuple[str, str] | None:
    token = EnvironmentToken(environ, Settings(home=Path()))
    credential = TrustServerCredentials(StoredCredentials(environ), token).credential_for(server)
    return (credential.username, credential.password) if credential else None


def document(config: Path) -> Any:
    return json.loads(config.read_text())


def test_the_trust_server_gets_its_own_and_the_registry_keeps_its(config: Path, environ: dict[str, str]) -> None:
    registry = {"auth": base64.b64encode(b"pusher:of the registry").decode()}
    config.write_text(json.dumps({"auths": {HOST: registry}, "proxies": {"default": {}}, "HttpHeaders": {"a": "ü"}}))
    assert found(environ, HOST) == ("pusher", "of the registry")
    TrustLogins(environ).store(HOST, "carol", "a:b c")
    assert found(environ, HOST) == ("carol", "a:b c")
    for spelled in (HOST, HOST.upper()):
        credential = StoredCredentials(environ).credential_for(spelled)
        assert credential is not None
        assert credential.username == "pusher"
    assert list(document(config)) == ["auths", "proxies", "HttpHeaders"]
    assert document(config)["HttpHeaders"] == {"a": "ü"}
    assert TrustLogins(environ).erase(HOST)
    assert found(environ, HOST) == ("pusher", "of the registry")
    assert document(config)["auths"] == {HOST: registry}
    assert not TrustLogins(environ).erase(HOST)


def test_a_login_is_for_one_host_and_port(environ: dict[str, str]) -> None:
    TrustLogins(environ).store(HOST, "carol", "secret")
    for other in ("trust.example.com", "trust.example.com:443", "other.example.com:4443"):
        assert found(environ, other) is None


def test_a_new_file_is_the_user_s_alone(tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path / "new" / "docker"), "HOME": str(tmp_path)}
    TrustLogins(environ).store(HOST, "carol", "secret")
    file = tmp_path / "new" / "docker" / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_stays_one_and_others_may_no_longer_read(config: Path, environ: dict[str, str], tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("{}")
    real.chmod(0o644)
    config.symlink_to(real)
    TrustLogins(environ).store(HOST, "carol", "secret")
    assert config.is_symlink()
    assert KEY in document(real)["auths"]
    assert real.stat().st_mode & 0o077 == 0


def test_a_helper_keeps_the_secret(config: Path, environ: dict[str, str], tmp_path: Path) -> None:
    helper = tmp_path / "bin" / "docker-credential-box"
    helper.parent.mkdir()
    helper.write_text(HELPER.format(folder=tmp_path))
    helper.chmod(0o755)
    environ["PATH"] = f"{helper.parent}:{environ['PATH']}"
    config.write_text(json.dumps({"credsStore": "box"}))
    assert TrustLogins(environ).store(HOST, "carol", "secret") == "docker-credential-box"
    assert document(config) == {"credsStore": "box", "auths": {KEY: {}}}
    assert json.loads((tmp_path / "kept").read_text())["ServerURL"] == KEY
    assert found(environ, HOST) == ("carol", "secret")
    assert TrustLogins(environ).erase(HOST)
    assert document(config) == {"credsStore": "box", "auths": {}}
    assert (tmp_path / "asked").read_text().split() == ["store", "get", "erase"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"auths": []}',
        b'{"auths": {}, "credsStore": 1}',
        b'{"registry.example.com": {"auth": "YTpi"}}',
        b"\xff\xfe{",
    ],
)
def test_a_file_that_is_not_understood_is_left_alone(config: Path, environ: dict[str, str], content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(SettingsUnusable) as failure:
        TrustLogins(environ).store(HOST, "carol", "secret")
    assert str(config) in str(failure.value)
    assert "secret" not in str(failure.value)
    assert config.read_bytes() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_file_of_somebody_else_is_left_alone(config: Path, environ: dict[str, str]) -> None:
    config.write_text("{}")
    os.chown(config, 1234, 1234)
    with pytest.raises(SettingsUnusable, match="belongs to another user"):
        TrustLogins(environ).store(HOST, "carol", "secret")
    assert config.read_text() == "{}"
    assert config.stat().st_uid == 1234

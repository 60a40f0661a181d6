"""A token of the environment: for which server it counts, where it comes from, and what it never reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trustcli.client.trust_credentials import MAX_TOKEN, EnvironmentToken
from trustcli.config.credential import Credential
from trustcli.config.credential_helper import CredentialHelper
from trustcli.config.settings import Settings
from trustcli.errors import SettingsUnusable

HERE = "https://trust.example.com:4443"
HOST = "trust.example.com:4443"


def found(environ: dict[str, str], asked: str = HOST, **settings: Any) -> Credential | None:
    return EnvironmentToken(environ, Settings(home=Path(), **{"server": HERE, **settings})).credential_for(asked)


def token_file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    file = folder / "token"
    file.write_bytes(content)
    file.chmod(mode)
    return str(file)


@pytest.mark.parametrize("content", ["ct_abc", "ct_abc\n", " ct_abc\r\n"])
def test_from_the_variable_and_from_a_file(tmp_path: Path, content: str) -> None:
    file = token_file(tmp_path, content.encode())
    for environ, source in (
        ({"TRUST_TOKEN": content}, "TRUST_TOKEN"),
        ({"TRUST_TOKEN_FILE": file}, f"{file} (TRUST_TOKEN_FILE)"),
    ):
        credential = found(environ)
        assert credential is not None
        assert (credential.password, credential.source) == ("ct_abc", source)
        assert credential.is_api_token
        assert "ct_abc" not in repr(credential) + credential.label


@pytest.mark.parametrize("environ", [{}, {"TRUST_TOKEN": ""}, {"TRUST_TOKEN_FILE": ""}, {"TRUST_TOKEN": "\n"}])
def test_an_empty_variable_counts_as_not_set(environ: dict[str, str]) -> None:
    assert found(environ) is None


def test_only_the_server_that_is_named_gets_it() -> None:
    environ = {"TRUST_TOKEN": "ct_abc"}
    for other in ("trust.example.com", "trust.example.com:4444", "registry.example.com", "evil.example.com:4443"):
        assert found(environ, other) is None
    by_file = {"a.example.com": HERE, "b.example.com": f"{HERE}/path"}
    assert found(environ, server=None, servers=by_file) is not None
    assert (
        found(environ, HOST, servers={"a.example.com": "https://elsewhere.example.com"}) is not None
    )  # TRUST_SERVER is


@pytest.mark.parametrize(
    ("servers", "said"),
    [({}, "named are: none"), ({"a": HERE, "b": "https://b.example.com"}, "named are: b.example.com, trust.example")],
)
def test_it_must_be_clear_for_which_server_it_is(servers: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsUnusable, match=said):
        EnvironmentToken({"TRUST_TOKEN": "ct_a"}, Settings(home=Path(), servers=servers)).credential_for(
            "b.example.com"
        )


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"", 0o600, "holds no token"),
        (b"two words", 0o600, "holds no token"),
        (b"two\nlines", 0o600, "holds no token"),
        (b"\xff\xfe", 0o600, "holds no token"),
        (b"x" * (MAX_TOKEN + 1), 0o600, f"more than {MAX_TOKEN} bytes"),
        (b"ct_abc", 0o644, "read"),
        (b"ct_abc", 0o602, "changed"),
    ],
)
def test_files_that_hold_no_token_for_us_alone(tmp_path: Path, content: bytes, mode: int, said: str) -> None:
    file = token_file(tmp_path, content, mode)
    with pytest.raises(SettingsUnusable, match=said) as caught:
        found({"TRUST_TOKEN_FILE": file})
    assert "ct_abc" not in str(caught.value)
    assert file in str(caught.value)


def test_missing_files_and_two_tokens(tmp_path: Path) -> None:
    with pytest.raises(SettingsUnusable, match="No such file"):
        found({"TRUST_TOKEN_FILE": str(tmp_path / "missing")})
    with pytest.raises(SettingsUnusable, match="Is a directory"):
        found({"TRUST_TOKEN_FILE": str(tmp_path)})
    with pytest.raises(SettingsUnusable, match="TRUST_TOKEN_FILE as well"):
        found({"TRUST_TOKEN": "ct_abc", "TRUST_TOKEN_FILE": token_file(tmp_path, b"ct_abc")})
    with pytest.raises(SettingsUnusable, match="holds no token"):
        found({"TRUST_TOKEN": "a b"})


def test_credential_helpers_do_not_see_it(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-told"
    helper.write_text(f'#!/bin/sh\ncat >/dev/null\nenv > {tmp_path}/seen\necho \'{{"Username":"u","Secret":"s"}}\'\n')
    helper.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TRUST_TOKEN": "ct_abc", "TRUST_SERVER": HERE}
    assert CredentialHelper(environ, config="x", timeout=30).get("told", HOST) is not None
    seen = (tmp_path / "seen").read_text()
    assert "TRUST_SERVER" in seen
    assert "ct_abc" not in seen

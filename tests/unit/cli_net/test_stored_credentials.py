"""Where credentials are looked for, and which of several counts: Docker's file, podman's, and one that is named."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from trustcli.config.credential import Credential
from trustcli.config.docker_config import DockerConfig, docker_config_dir, docker_config_file
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.errors import SettingsUnusable

HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def write(file: Path, auths: Mapping[str, object], **more: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"auths": auths, **more}))


def who(found: Credential | None) -> str | None:
    return found.username if found else None


@pytest.fixture
def everywhere(tmp_path: Path) -> dict[str, str]:
    """An environment with all four places."""
    return {
        "HOME": str(tmp_path / "home"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "named.json"),
    }


FILES = ("named.json", "docker/config.json", "run/containers/auth.json", "home/.config/containers/auth.json")


def test_the_places_in_their_order(tmp_path: Path, everywhere: dict[str, str]) -> None:
    assert [place.path for place in StoredCredentials(everywhere).places] == [str(tmp_path / name) for name in FILES]
    for name in reversed(FILES):
        write(tmp_path / name, {"r.example": auth(f"{name}:pw")})
        found = StoredCredentials(everywhere).credential_for("r.example")
        assert found is not None
        assert (found.username, found.source, found.entry) == (name, str(tmp_path / name), "r.example")


def test_a_place_without_an_entry_is_passed_over(tmp_path: Path, everywhere: dict[str, str]) -> None:
    for name, content in zip(FILES, ("", "  \n", "{}", None), strict=True):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            write(file, {"r.example": auth("last:pw")})
        else:
            file.write_text(content)
    assert who(StoredCredentials(everywhere).credential_for("r.example")) == "last"
    assert StoredCredentials(everywhere).credential_for("other.example") is None


def test_a_place_that_cannot_be_read_is_not_passed_over(tmp_path: Path, everywhere: dict[str, str]) -> None:
    write(tmp_path / FILES[2], {"r.example": auth("a:pw")})
    (tmp_path / FILES[0]).write_text("{")
    with pytest.raises(SettingsUnusable) as caught:
        StoredCredentials(everywhere).credential_for("r.example")
    assert caught.value.place == str(tmp_path / FILES[0])


def test_settings_of_podman_have_a_folder_of_their_own(tmp_path: Path, everywhere: dict[str, str]) -> None:
    everywhere["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    write(tmp_path / "xdg/containers/auth.json", {"r.example": auth("a:pw")})
    write(tmp_path / FILES[3], {"r.example": auth("b:pw")})
    assert who(StoredCredentials(everywhere).credential_for("r.example")) == "a"


def test_where_the_home_must_decide_nothing_only_what_is_named_counts(
    tmp_path: Path, everywhere: dict[str, str]
) -> None:
    for name in FILES[2:]:
        write(tmp_path / name, {"r.example": auth("home:pw")})
    assert StoredCredentials(everywhere, named_only=True).credential_for("r.example") is None
    write(tmp_path / FILES[1], {"r.example": auth("docker:pw")})
    assert who(StoredCredentials(everywhere, named_only=True).credential_for("r.example")) == "docker"


# --- docker's file


@pytest.mark.parametrize("asked", HUB_NAMES)
@pytest.mark.parametrize(
    "key",
    [
        *HUB_NAMES,
        "https://index.docker.io/v1/",
        "https://registry-1.docker.io/v2/",
        "https://docker.io",
        "index.docker.io/v1/",
    ],
)
@pytest.mark.parametrize("place", [FILES[1], FILES[2]])
def test_docker_hub_is_one_registry(
    tmp_path: Path, everywhere: dict[str, str], asked: str, key: str, place: str
) -> None:
    write(tmp_path / place, {key: auth("a:pw"), "docker.io.example.com": auth("no:pw")})
    stored = StoredCredentials(everywhere)
    assert who(stored.credential_for(asked, repository="library/alpine")) == "a"
    assert stored.credential_for("docker.example") is None


def test_docker_s_own_key_for_the_hub_comes_first(tmp_path: Path, everywhere: dict[str, str]) -> None:
    write(tmp_path / FILES[1], {"docker.io": auth("a:pw"), "https://index.docker.io/v1/": auth("b:pw")})
    assert who(StoredCredentials(everywhere).credential_for("docker.io")) == "b"


@pytest.mark.parametrize("inside", ["\n", "\r\n", " \n "])
def test_base64_may_have_line_breaks_and_lack_its_padding(tmp_path: Path, inside: str) -> None:
    encoded = auth("alice:a rather long password, longer than one line of base64 is")["auth"]
    broken = encoded[:40] + inside + encoded[40:].rstrip("=") + "\n"
    write(tmp_path / "config.json", {"r.example": {"auth": broken}})
    found = DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).credential_for("r.example")
    assert found is not None
    assert found.password == "a rather long password, longer than one line of base64 is"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"r.example": auth("a:pw")})
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "config.json").read_bytes())
    assert who(DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).credential_for("r.example")) == "a"


def test_docker_config_may_name_the_file(tmp_path: Path) -> None:
    write(tmp_path / "ci.json", {"r.example": auth("a:pw")})
    environ = {"DOCKER_CONFIG": str(tmp_path / "ci.json")}
    assert who(DockerConfig(environ).credential_for("r.example")) == "a"
    assert docker_config_dir(environ) == tmp_path
    assert docker_config_file({"DOCKER_CONFIG": "/nowhere"}) == Path("/nowhere/config.json")


# --- podman's file


def test_the_most_precise_key_counts(tmp_path: Path, everywhere: dict[str, str]) -> None:
    write(
        tmp_path / FILES[2],
        {
            "r.example": auth("registry:pw"),
            "r.example/team": auth("team:pw"),
            "r.example/team/app": auth("app:pw"),
            "r.example/tea": auth("prefix:pw"),
        },
    )
    stored = StoredCredentials(everywhere)
    for repository, expected in (
        ("team/app", "app"),
        ("team/app/deep", "app"),
        ("team/other", "team"),
        ("team", "team"),
        ("tea/app", "prefix"),
        ("t/app", "registry"),
        ("", "registry"),
    ):
        assert who(stored.credential_for("r.example", repository=repository)) == expected, repository


def test_a_key_for_a_part_is_not_for_the_whole(tmp_path: Path, everywhere: dict[str, str]) -> None:
    write(tmp_path / FILES[2], {"r.example/team": auth("team:pw")})
    stored = StoredCredentials(everywhere)
    assert stored.credential_for("r.example", repository="other/app") is None
    assert stored.credential_for("r.example") is None


@pytest.mark.parametrize("key", ["https://r.example/v2/", "http://r.example", "r.example/v1/"])
def test_urls_are_keys_for_the_whole_registry(tmp_path: Path, everywhere: dict[str, str], key: str) -> None:
    write(tmp_path / FILES[2], {key: auth("a:pw")})
    assert who(StoredCredentials(everywhere).credential_for("r.example", repository="team/app")) == "a"


def test_a_helper_of_podman_s_file_is_asked_for_the_registry(tmp_path: Path, everywhere: dict[str, str]) -> None:
    program = tmp_path / "bin" / "docker-credential-own"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nread -r server\nprintf \'{"Username":"%s","Secret":"x"}\' "$server $NOTARY_AUTH"\n')
    program.chmod(0o700)
    everywhere |= {"PATH": f"{program.parent}:/usr/bin:/bin", "NOTARY_AUTH": "c2VjcmV0OnNlY3JldA=="}
    write(tmp_path / FILES[2], {}, credHelpers={"docker.io": "own"})
    found = StoredCredentials(everywhere).credential_for("registry-1.docker.io", repository="library/alpine")
    assert found is not None
    assert (found.username, found.entry) == ("docker.io ", "docker.io")


@pytest.mark.parametrize("typed", ["R.Example", "r.example:443", "R.example/team"])
def test_podman_s_keys_may_be_spelled_in_another_way(tmp_path: Path, everywhere: dict[str, str], typed: str) -> None:
    write(tmp_path / "run/containers/auth.json", {typed: auth("a:b"), "r.example:5000": auth("c:d")})
    assert who(StoredCredentials(everywhere).credential_for("r.example", repository="team/app")) == "a"
    assert who(StoredCredentials(everywhere).credential_for("r.example", repository="Team/app")) == (
        None if "/" in typed else "a"
    )

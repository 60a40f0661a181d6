"""GUNs, tags, roles, signers: what may be a name."""

from __future__ import annotations

import pytest

from trustdata.errors import InvalidName
from trustdata.gun import are_tags, parse_gun, parse_tag
from trustdata.roles import is_delegated, parse_role, role_from_path, role_to_path, signer_name, signer_role


@pytest.mark.parametrize(
    "name",
    [
        "docker.io/library/alpine",
        "registry.example.com:5000/team/app",
        "[::1]:5000/a",
        "a",
        "a/b__c/d-e--f.g",
        "localhost/a",
        "x" * 255,
    ],
)
def test_collection_names(name: str) -> None:
    assert parse_gun(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Registry.example.com/App", "lower-case"),
        ("a/B", "lower-case"),
        ("", "grammar"),
        ("a//b", "grammar"),
        ("a/../b", "grammar"),
        ("a/b:1.0", "grammar"),
        ("a/b\n", "grammar"),
        ("a___b/c", "grammar"),
        ("x" * 256, "longer than 255"),
    ],
)
def test_no_collection_names(name: str, reason: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_gun(name)
    assert reason in str(caught.value)
    assert caught.value.kind == "collection name"


def test_tags() -> None:
    good = ["1.0", "_x", "Latest-1_2.3", "a" * 128]
    assert [parse_tag(tag) for tag in good] == good
    assert are_tags(good)
    assert are_tags([])
    for tag in ("", ".x", "-x", "a b", "a\n", "a/b", "ä", "a" * 129):
        with pytest.raises(InvalidName):
            parse_tag(tag)
        assert not are_tags([*good, tag]), tag


def test_roles() -> None:
    for name in ("targets/releases", "ä/ö", "?", "../x", "a b", "r" * 255):
        role = parse_role(name)
        assert role_from_path(role_to_path(role)) == role
        assert "/" not in role_to_path(role)
    for name in ("", "r" * 256, "a\n", "a\x7f", "\ud800"):
        with pytest.raises(InvalidName):
            parse_role(name)
    with pytest.raises(InvalidName, match="not UTF-8"):
        role_from_path("%ff")


def test_signers() -> None:
    assert signer_role("alice") == "targets/alice"
    assert signer_name("targets/alice") == "alice"
    assert signer_name("other") == "other"
    assert is_delegated("targets/alice")
    assert not is_delegated("snapshot")
    with pytest.raises(InvalidName, match="lists what is released"):
        signer_role("releases")
    for name in ("", "Alice", "-x", "a/b", "a" * 65, "a\n"):
        with pytest.raises(InvalidName):
            signer_role(name)

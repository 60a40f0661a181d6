"""GUNs, tags, roles, signers: what may be a name."""

from __future__ import annotations

import pytest

from tests.simulator.scene import good_collection
from trustdata.errors import InvalidName
from trustdata.gun import are_tags, parse_gun, parse_notary_gun, parse_tag
from trustdata.roles import ROOT, is_delegated, parse_role, role_from_path, role_to_path, signer_name, signer_role
from trustdata.verification.trust_pinning import Pin, chain_holds, parse_pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS, wire_named
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


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


@pytest.mark.parametrize("name", ["a", "Registry.example.com/App", "127.0.0.1:5000/team/app", "a:b/c d", "x" * 255])
def test_names_that_notary_takes(name: str) -> None:
    assert parse_notary_gun(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "1 to 255 characters"),
        ("x" * 256, "1 to 255 characters"),
        ("a*", "holds *"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a//b", "empty component"),
        ("/a", "empty component"),
        ("a/", "empty component"),
        ("a/../b", "one that is . or .."),
        ("./a", "one that is . or .."),
    ],
)
def test_names_that_nobody_takes(name: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason.replace("*", r"\*")):
        parse_notary_gun(name)


def test_the_formats_by_name() -> None:
    assert (wire_named("tuf-1.0"), wire_named("notary-v1")) == (TUF, NOTARY)
    with pytest.raises(InvalidName, match=r"must be one of tuf-1\.0, notary-v1"):
        wire_named("notary-v2")


@pytest.mark.parametrize("text", [f"sha256:{'ab' * 32}", f"key:{'01' * 32}"])
def test_pins(text: str) -> None:
    assert str(parse_pin(text)) == text


@pytest.mark.parametrize("text", ["", "ab" * 32, f"sha256:{'AB' * 32}", f"key:{'ab' * 31}", f"sha512:{'ab' * 32}"])
def test_what_is_no_pin(text: str) -> None:
    with pytest.raises(InvalidName, match="HEX of a root file"):
        parse_pin(text)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_which_pins_a_chain_holds(wire: WireFormat) -> None:
    """By a root of any version, or by a root key of the first that has signed it."""
    scene = good_collection(wire)
    first = wire.parse(ROOT, scene.server.files["1.root.json"])
    chain = [first, scene.server.stored[ROOT]]
    for root in chain:
        assert chain_holds(Pin("sha256", root.sha256), chain)
    assert not chain_holds(Pin("sha256", "ab" * 32), chain)
    mine = Pin("key", scene.keys.root_keyid("root"))
    assert chain_holds(mine, chain)
    assert not chain_holds(mine, chain[1:]), "not from the first root on"
    assert not chain_holds(Pin("key", scene.keys.keyid("targets")), chain), "no root key"
    unsigned = wire.parse(ROOT, wire.serialize(first.content, {}))
    assert not chain_holds(mine, [unsigned])

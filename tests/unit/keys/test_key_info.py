"""The description of a key: what it says, how it is written down, and what is refused when it is read."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer._utils import compute_default_keyid

from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted
from keys.key_info import KeyInfo
from keys.material import tuf_key

PRIVATE = generate(Algorithm.ED25519)
PUBLIC = tuf_key(PRIVATE)
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INFO = KeyInfo.of(PRIVATE, purpose="signer", name="alice", gun="example.com/a", created=CREATED)
PLACE = "/home/alice/key"


def test_what_it_says_of_a_key() -> None:
    expected = KeyInfo(
        keyid=PUBLIC.keyid,
        algorithm=Algorithm.ED25519,
        purpose="signer",
        public=PUBLIC,
        name="alice",
        gun="example.com/a",
        created=CREATED,
        retired=False,
    )
    assert expected == INFO
    plain = KeyInfo.of(PRIVATE, purpose="root")
    assert (plain.name, plain.gun, plain.created, plain.retired) == ("", "", None, False)


def test_the_time_of_creation_is_utc_in_whole_seconds() -> None:
    at = datetime(2026, 1, 2, 5, 4, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))
    created = KeyInfo.of(PRIVATE, purpose="root", created=at).created
    assert created == CREATED
    assert created.tzinfo is UTC


def test_a_key_that_is_not_accepted_is_not_described() -> None:
    with pytest.raises(KeyNotAccepted, match="neither P-256 nor P-384"):
        KeyInfo.of(ec.generate_private_key(ec.SECP521R1()), purpose="root")


@pytest.mark.parametrize(
    ("name", "described"), [("", "root key (ID)"), ("alice", "root key alice (ID)"), ("a\x1b", r"root key a\x1b (ID)")]
)
def test_its_name_in_messages(name: str, described: str) -> None:
    info = KeyInfo.of(PRIVATE, purpose="root", name=name)
    assert info.described == described.replace("ID", info.keyid[:12])


@pytest.mark.parametrize("created", [None, CREATED])
@pytest.mark.parametrize("retired", [True, False])
def test_what_is_written_is_read(created: datetime | None, *, retired: bool) -> None:
    info = KeyInfo.of(PRIVATE, purpose="signer", name="alice", gun="example.com/a", created=created)
    written = info.to_dict()
    assert written == {
        "keyid": PUBLIC.keyid,
        "algorithm": "ed25519",
        "purpose": "signer",
        "name": "alice",
        "gun": "example.com/a",
        "created": None if created is None else "2026-01-02T03:04:05Z",
        "public": {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": PUBLIC.keyval["public"]}},
    }
    again = KeyInfo.from_dict(written, retired=retired, place=PLACE)
    assert again.retired is retired
    assert again.created == created
    assert again.to_dict() == written
    assert again.created is None or again.created.tzinfo is UTC


def _read(change: Callable[[dict[str, Any]], object]) -> KeyInfo:
    members: dict[str, Any] = deepcopy(INFO.to_dict())
    change(members)
    return KeyInfo.from_dict(members, retired=False, place=PLACE)


NO_TUF_KEY = "its public key is no TUF key object"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(more=1), "its description does not have the members that it should"),
        (lambda m: m.pop("created"), "its description does not have the members that it should"),
        *((lambda m, name=name: m.update({name: 5}), "its description has a member that is not a short text")
          for name in ("keyid", "algorithm", "purpose", "name", "gun")),
        *((lambda m, name=name: m.update({name: "x" * 513}), "its description has a member that is not a short text")
          for name in ("keyid", "algorithm", "purpose", "name", "gun")),
        (lambda m: m.update(purpose="new"), "its purpose is unknown"),
        (lambda m: m.update(keyid="0" * 64), "its key id does not match its public key"),
        (lambda m: m.update(algorithm="rsa"), "its algorithm does not match its public key"),
        (lambda m: m.update(created="2026-01-02"), "its time of creation cannot be read"),
        (lambda m: m.update(created=5), "its time of creation cannot be read"),
        (lambda m: m.update(public=None), NO_TUF_KEY),
        (lambda m: m.update(public=list(m["public"])), NO_TUF_KEY),
        (lambda m: m["public"].update(more=1), NO_TUF_KEY),
        (lambda m: m["public"].pop("scheme"), NO_TUF_KEY),
        (lambda m: m["public"].update(keyval=["public"]), NO_TUF_KEY),
        (lambda m: m["public"].update(keyval={}), NO_TUF_KEY),
        (lambda m: m["public"]["keyval"].update(private=None), NO_TUF_KEY),
        (lambda m: m["public"].update(keytype=None), NO_TUF_KEY),
        (lambda m: m["public"].update(scheme=2.5), NO_TUF_KEY),
        (lambda m: m["public"]["keyval"].update(public=2.5), NO_TUF_KEY),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        _read(change)
    assert (caught.value.place, caught.value.reason) == (PLACE, reason)


@pytest.mark.parametrize("member", ["name", "gun"])
def test_texts_have_512_characters_at_most(member: str) -> None:
    assert getattr(_read(lambda m: m.update({member: "x" * 512})), member) == "x" * 512


def test_a_public_key_that_is_not_accepted_is_named_with_its_place() -> None:
    public = ec.generate_private_key(ec.SECP521R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    keyval = {"public": pem}
    keyid = compute_default_keyid("ecdsa", "ecdsa-sha2-nistp256", keyval)
    with pytest.raises(KeyNotAccepted) as caught:
        _read(
            lambda m: m.update(
                keyid=keyid, public={"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": keyval}
            )
        )
    assert caught.value.key == f"{keyid[:12]} in {PLACE}"
    assert caught.value.reason == "curve secp521r1 is neither P-256 nor P-384"

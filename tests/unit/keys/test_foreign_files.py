"""Files with keys in other forms than PEM are told by their names, with the command that makes PEM of them."""

from __future__ import annotations

import pytest

from keys import foreign_files
from keys.errors import KeyFileMalformed, KeyIsPrivate
from keys.foreign_files import ForeignFile, Wanted, foreign_block, foreign_file
from keys.pem import lacking, read_pem
from keys.private_blocks import read_private_blocks
from keys.public_pem import read_public_pem
from tests.support.certificates import LONG_AGO
from tests.support.foreign_keys import FOREIGN, Foreign

PLACE = "it's.key"
QUOTED = "'it'\"'\"'s.key'"

each = pytest.mark.parametrize("foreign", FOREIGN.values(), ids=list(FOREIGN))


def command(foreign: Foreign, wanted: Wanted) -> str:
    return foreign.commands.get(wanted, "").replace("FILE", QUOTED)


@each
@pytest.mark.parametrize("wanted", ["private key", "unencrypted private key"])
def test_where_a_private_key_is_wanted(foreign: Foreign, wanted: Wanted) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        read_private_blocks(foreign.data, place=PLACE, wanted=wanted)
    said(caught.value, foreign, wanted)


def test_a_keybox_of_gnupg_is_told_by_its_mark_whatever_follows() -> None:
    for following in (b"", b"\0", bytes(100)):
        found = foreign_file(b"\0\0\0 \1\1\0\2KBXf" + following, "")
        assert found is not None
        assert "PGP" in found.kind


def test_unless_told_otherwise_a_private_key_is_wanted() -> None:
    foreign = FOREIGN["PKCS#12"]
    with pytest.raises(KeyFileMalformed) as caught:
        read_pem(foreign.data, place=PLACE)
    said(caught.value, foreign, "private key")


@each
def test_where_a_public_key_is_wanted(foreign: Foreign) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        read_public_pem(foreign.data, place=PLACE, at=LONG_AGO)
    assert isinstance(caught.value, KeyIsPrivate) is foreign.is_private
    assert caught.value.place == PLACE
    if not foreign.is_private:
        said(caught.value, foreign, "public key")


@each
def test_where_a_certificate_is_wanted(foreign: Foreign) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        raise lacking(read_pem(foreign.data, place=PLACE, wanted="certificate"), place=PLACE, wanted="certificate")
    said(caught.value, foreign, "certificate")


def said(error: KeyFileMalformed, foreign: Foreign, wanted: Wanted) -> None:
    assert error.place == PLACE
    assert foreign.kind in error.reason
    assert error.reason.startswith(("it is ", "it holds "))
    assert error.reason.endswith((", and PEM is wanted", ", a form that is not read here"))
    expected = command(foreign, wanted)
    assert error.command.startswith(expected)
    assert bool(error.command) is bool(expected)


def test_der_of_which_nothing_more_is_known_and_json_are_called_so() -> None:
    """A BIT STRING or OCTET STRING makes a key only behind an algorithm."""
    for data in (b"\x30\x06\x30\x02\x05\x00\x03\x00", b"\x30\x06\x30\x02\x05\x00\x04\x00"):
        found = foreign_file(data, "")
        assert found is not None
        assert found.kind == "a certificate or key in DER"
    for text in ("{}", "[]"):
        json = foreign_file(text.encode(), text)
        assert json is not None
        assert json.kind == "JSON"


def test_of_what_nothing_is_known_there_is_no_command() -> None:
    assert ForeignFile(kind="a stone").command("private key", PLACE) == ""


@pytest.mark.parametrize("data", [b"\x94\x58\x05", b"\x99\x01\x8d\x02", b"\x30\x80\x02\x01\x00", b"\x30\x81", b"\x30"])
def test_what_only_begins_like_it_is_not_called_so(data: bytes) -> None:
    with pytest.raises(KeyFileMalformed, match=r"no PEM block in it$"):
        read_private_blocks(data, place=PLACE)


@pytest.mark.parametrize("kind", [b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"])
def test_a_key_that_a_security_key_holds_is_private_and_no_command_takes_it_out(kind: bytes) -> None:
    found = foreign_block("OPENSSH PRIVATE KEY", b"openssh-key-v1\0" + kind)
    assert found is not None
    assert "that a security key holds" in found.kind
    assert found.kind.startswith("a key of OpenSSH")
    assert found.is_private
    assert not found.commands


def test_an_ed25519_key_of_openssh_is_private_and_no_command_takes_it_out() -> None:
    found = foreign_block("OPENSSH PRIVATE KEY", b"openssh-key-v1\0ssh-ed25519")
    assert found is not None
    assert found.kind.startswith("an Ed25519 key of OpenSSH")
    assert found.is_private
    assert not found.commands


def test_a_further_form_is_one_row_of_the_table() -> None:
    made = foreign_files._private("make OPTION FILE", encrypted="-aes ", plain="-plain ")
    assert made == {"private key": "make -aes FILE", "unencrypted private key": "make -plain FILE"}
    assert set(foreign_files._private("make OPTION FILE").values()) == {"make FILE"}
    assert foreign_files._public("make") == {"public key": "make"}
    assert foreign_files._certificate("make") == {"public key": "make", "certificate": "make"}

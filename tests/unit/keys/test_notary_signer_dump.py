"""Keys out of a dump of a notary-signer's database: `private_keys` as pg_dump and as CSV write it."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe
from joserfc.jwk import OctKey

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseWrong
from keys.notary import bare_key
from keys.notary_signer_dump import SignerKey, read_signer_dump

PASSPHRASE = "a passphrase of the signer's"
COLUMNS = (
    "id",
    "created_at",
    "key_id",
    "encryption_alg",
    "keywrap_alg",
    "algorithm",
    "passphrase_alias",
    "public",
    "private",
    "gun",
    "role",
)
GUN = "registry.example.com/team/app"


def _sealed(content: bytes, passphrase: bytes = PASSPHRASE.encode()) -> bytes:
    """As the signer seals: a JSON Web Encryption under a passphrase (few rounds: this one is for a test)."""
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 1000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = OctKey.import_key(passphrase)
    algorithms = ["PBES2-HS256+A128KW", "A256GCM"]
    return jwe.encrypt_compact(header, content, key, algorithms=algorithms).encode()


def _content(private: PrivateKey, *, short: bool = False) -> bytes:
    """As Go's notary holds private keys in memory."""
    if isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    seed, public = private.private_bytes_raw(), private.public_key().public_bytes_raw()
    return seed + public if short else public + seed + public


def _row(
    private: PrivateKey,
    content: bytes | None = None,
    *,
    passphrase: bytes = PASSPHRASE.encode(),
    prefix: str = r"\\x",
    **other: str,
) -> dict[str, str]:
    key = bare_key(private.public_key())
    sealed = _sealed(_content(private) if content is None else content, passphrase)
    usual = dict.fromkeys(COLUMNS, "") | {
        "id": "1",
        "created_at": "2020-01-01 00:00:00+00",
        "key_id": key.keyid,
        "algorithm": key.keytype,
        "passphrase_alias": "ALIAS_1",
        "private": prefix + sealed.hex(),
        "gun": GUN,
        "role": "timestamp",
    }
    return usual | other


def _copied(*rows: dict[str, str], head: str = "COPY public.private_keys") -> str:
    lines = ["\t".join(row.values()) for row in rows]
    columns = ", ".join(COLUMNS)
    before = "-- a dump\nCOPY public.other (a) FROM stdin;\n1\n\\.\n\n"
    return f"{before}{head} ({columns}) FROM stdin;\n" + "".join(f"{line}\n" for line in lines) + "\\.\n\n-- after it\n"


def _comma_separated(*rows: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _read(text: str, encoding: str = "utf-8") -> list[SignerKey]:
    return read_signer_dump(text.encode(encoding, "surrogateescape"), place="dump.sql")


@pytest.mark.parametrize("write", [_copied, _comma_separated])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_algorithm_in_both_forms(algorithm: Algorithm, write: Callable[..., str]) -> None:
    private = generate(algorithm)
    (key,) = _read(write(_row(private, prefix=r"\\x" if write is _copied else r"\x")))
    assert (key.gun, key.role, key.alias) == (GUN, "timestamp", "ALIAS_1")
    assert key.keyid == bare_key(private.public_key()).keyid
    assert key.place == "dump.sql, row 1"
    assert key.open(PASSPHRASE).public_key() == private.public_key()
    assert key.encrypted.hex() not in repr(key)


@pytest.mark.parametrize("short", [True, False])
def test_ed25519_with_and_without_the_public_part_before_it(*, short: bool) -> None:
    private = generate(Algorithm.ED25519)
    content = _content(private, short=short)
    assert len(content) == (64 if short else 96)
    (key,) = _read(_copied(_row(private, content)))
    assert key.open(PASSPHRASE).public_key() == private.public_key()


def test_several_rows_each_with_its_place() -> None:
    rows = [_row(generate(Algorithm.ED25519), role=role) for role in ("timestamp", "snapshot")]
    for text in (_copied(*rows), _copied(*rows, head='COPY "private_keys"'), _comma_separated(*rows)):
        assert [(key.role, key.place) for key in _read(text)] == [
            ("timestamp", "dump.sql, row 1"),
            ("snapshot", "dump.sql, row 2"),
        ]


@pytest.mark.parametrize("text", [_copied(), _comma_separated(), "", "\n\n"])
def test_a_dump_without_a_key_is_none(text: str) -> None:
    """Who names one believes that the keys come along."""
    with pytest.raises(KeyFileMalformed, match="holds no key: a dump of the table private_keys is wanted") as caught:
        _read(text)
    assert caught.value.place == "dump.sql"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("write", [_copied, _comma_separated])
def test_what_a_shell_of_windows_makes_of_a_dump(write: Callable[..., str], encoding: str) -> None:
    """Its redirection writes UTF-16 with CRLF; empty lines stand at the end."""
    private = generate(Algorithm.ECDSA_P256)
    text = write(_row(private, prefix=r"\\x" if write is _copied else r"\x"))
    text = text.replace("\r\n", "\n").replace("\n", "\r\n") + "\r\n\r\n"
    (key,) = _read(text, encoding)
    assert key.open(PASSPHRASE).public_key() == private.public_key()


def test_bytes_that_are_no_text_are_no_dump() -> None:
    with pytest.raises(KeyFileMalformed, match="is no text") as caught:
        read_signer_dump(b"key_id,\xff\n", place="dump.csv")
    assert caught.value.place == "dump.csv"


@pytest.mark.parametrize("id_", ["", " ", "X", "1"])
def test_rows_begin_at_their_first_column(id_: str) -> None:
    (key,) = _read(_copied(_row(generate(Algorithm.ED25519), id=id_)))
    assert (key.gun, key.role) == (GUN, "timestamp")


def test_names_of_columns_may_be_quoted() -> None:
    text = _copied(_row(generate(Algorithm.ED25519)))
    for name in ("key_id", "gun", "role"):
        text = text.replace(f" {name},", f' "{name}",').replace(f" {name})", f' "{name}" )')
    (key,) = _read(text)
    assert (key.gun, key.role) == (GUN, "timestamp")


def test_other_columns_stand_for_none_of_ours() -> None:
    row = _row(generate(Algorithm.ED25519))
    for other in ("Xkey_id", "key_idX", "key id", "_key_id"):
        (key,) = _read(_copied(row).replace("public,", f"{other},"))
        assert key.keyid == row["key_id"]


def test_the_wrong_passphrase() -> None:
    (key,) = _read(_copied(_row(generate(Algorithm.ED25519))))
    for wrong in ("wrong", PASSPHRASE + " ", "", os.fsdecode(b"not UTF-8: \xff")):
        with pytest.raises(PassphraseWrong) as caught:
            key.open(wrong)
        assert caught.value.key == "dump.sql, row 1"
        assert PASSPHRASE not in str(caught.value)


def test_a_passphrase_is_the_bytes_of_its_variable() -> None:
    """As `os.environ` gives those that are not UTF-8."""
    private = generate(Algorithm.ED25519)
    (key,) = _read(_copied(_row(private, _content(private), passphrase=b"\xff secret")))
    assert key.open(os.fsdecode(b"\xff secret")).public_key() == private.public_key()


def test_another_key_than_the_row_s_id_says() -> None:
    (key,) = _read(_copied(_row(generate(Algorithm.ED25519), key_id="ab" * 32)))
    with pytest.raises(KeyFileMalformed, match="holds another key than its id says") as caught:
        key.open(PASSPHRASE)
    assert caught.value.place == "dump.sql, row 1"


@pytest.mark.parametrize(
    ("algorithm", "content"),
    [("ed25519", b""), ("ed25519", b"x" * 65), ("ed25519", b"x" * 95), ("ecdsa", b"x" * 96), ("rsa", b"")],
)
def test_what_holds_no_key(algorithm: str, content: bytes) -> None:
    (key,) = _read(_copied(_row(generate(Algorithm.ED25519), content, algorithm=algorithm)))
    with pytest.raises(KeyFileMalformed, match="holds no private key") as caught:
        key.open(PASSPHRASE)
    assert caught.value.place == "dump.sql, row 1"


def test_keys_that_we_do_not_accept() -> None:
    foreign = dsa.generate_private_key(1024).private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    curve = _content(ec.generate_private_key(ec.SECP521R1()))
    for content, reason in ((foreign, "neither ECDSA, Ed25519 nor RSA"), (curve, "neither P-256 nor P-384")):
        (key,) = _read(_copied(_row(generate(Algorithm.ED25519), content, algorithm="ecdsa")))
        with pytest.raises(KeyNotAccepted, match=reason) as caught:
            key.open(PASSPHRASE)
        assert caught.value.key == "dump.sql, row 1"


def test_a_file_that_was_cut() -> None:
    whole = _copied(_row(generate(Algorithm.ED25519)), _row(generate(Algorithm.ED25519)))
    with pytest.raises(KeyFileMalformed, match="another number of columns than its head") as caught:
        _read(whole[: whole.rindex("\t") - 5])
    assert "dump.sql, row 2" in str(caught.value)
    row = _row(generate(Algorithm.ED25519))
    row["private"] = row["private"][:-1]
    with pytest.raises(KeyFileMalformed, match="private is not hexadecimal") as caught:
        _read(_copied(row))
    assert caught.value.place == "dump.sql, row 1"
    row["private"] = row["private"][:-61]
    (key,) = _read(_copied(row))
    with pytest.raises(KeyFileMalformed, match="is no encrypted key"):
        key.open(PASSPHRASE)


def test_a_field_that_is_too_long_is_said_of_the_file() -> None:
    row = _row(generate(Algorithm.ED25519), public="x" * (1 << 20))
    (key,) = _read(_comma_separated(row))
    assert key.keyid == row["key_id"]
    with pytest.raises(KeyFileMalformed, match="has a field of more than 1048576 characters") as caught:
        _read(_comma_separated(row | {"public": "x" * ((1 << 20) + 1)}))
    assert caught.value.place == "dump.sql"


def test_another_table() -> None:
    with pytest.raises(
        KeyFileMalformed, match="has no key_id, algorithm, passphrase_alias, private, gun, role"
    ) as caught:
        _read("a,b\n1,2\n")
    assert caught.value.place == "dump.sql, row 1"


def test_what_is_no_encryption() -> None:
    row = _row(generate(Algorithm.ED25519))
    no_base64 = _sealed(b"").partition(b".")[0] + b".a.b.c.d"
    for text in (b"no encryption", b"\xff", b"", no_base64):
        (key,) = _read(_copied(row | {"private": r"\\x" + text.hex()}))
        with pytest.raises(KeyFileMalformed, match="is no encrypted key") as caught:
            key.open(PASSPHRASE)
        assert caught.value.place == "dump.sql, row 1"


def test_a_dump_without_the_end_of_its_table() -> None:
    """Else the keys that were cut away would not be missed."""
    whole = _copied(_row(generate(Algorithm.ED25519)), _row(generate(Algorithm.ED25519)))
    first_row = whole.index("\n", whole.index("ALIAS_1"))
    with pytest.raises(KeyFileMalformed, match="is cut off before the end of the table") as caught:
        _read(whole[:first_row])
    assert caught.value.place == "dump.sql"

"""Whoever types a wrong passphrase is asked again, whatever kind of file it should open."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe
from joserfc.jwk import OctKey

from keys import sealed_file
from keys.algorithms import PrivateKey, generate
from keys.errors import PassphraseWrong
from keys.key_info import KeyInfo
from keys.material import tuf_key, write_private_pem
from keys.notary import bare_key
from keys.notary_files import write_notary_key_file
from keys.passphrase import ATTEMPTS, EnvironmentPassphrases
from tests.simulator.home import Home
from tests.simulator.repository import APP, RepositorySimulator
from tests.support.cheap_keys import CHEAP
from tests.support.prompted_person import Person
from trustcli.commands.key.key_import import ImportedKey, ImportOptions, import_file
from trustcli.commands.migrate.command import _ServerKeys
from trustcli.commands.migrate.source import SourceCollection
from trustcli.commands.support.key_source import SessionKeys
from trustcli.console.passphrase_comparison import ComparedPassphrases
from trustcli.session import Session
from trustdata.roles import SNAPSHOT, TIMESTAMP

_RIGHT: Final = "right"


def _only_keyid(imported: list[ImportedKey]) -> str:
    [key] = imported
    assert key.info is not None
    return key.info.keyid


def _import_pem(session: Session, folder: Path, private: PrivateKey) -> str:
    file = folder / "exported.pem"
    file.write_bytes(write_private_pem(private, _RIGHT.encode()))
    return _only_keyid(import_file(session, file, ImportOptions()))


def _import_notary(session: Session, folder: Path, private: PrivateKey) -> str:
    file = folder / "notary.key"
    file.write_bytes(write_notary_key_file(private, role="alice", gun="", passphrase=_RIGHT.encode()))
    return _only_keyid(import_file(session, file, ImportOptions()))


def _server_key(session: Session, folder: Path, private: PrivateKey) -> str:
    bare = bare_key(private.public_key())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a short passphrase
        key = OctKey.import_key(_RIGHT.encode())
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 1000}
    content = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    sealed = jwe.encrypt_compact(header, content, key, algorithms=["PBES2-HS256+A128KW", "A256GCM"])
    dump = folder / "dump.csv"
    row = f"{bare.keyid},{bare.keytype},ALIAS,{sealed.encode().hex()},{APP},{TIMESTAMP}"
    dump.write_text(f"key_id,algorithm,passphrase_alias,private,gun,role\n{row}\n")
    named = SimpleNamespace(keyids=[bare.keyid])
    root = SimpleNamespace(roles={SNAPSHOT: SimpleNamespace(keyids=[]), TIMESTAMP: named})
    found = SimpleNamespace(gun=APP, root=SimpleNamespace(root=root))
    opened = _ServerKeys(session, dump).of(cast("SourceCollection", found))
    return tuf_key(opened[TIMESTAMP]).keyid


def _recovery_file(session: Session, folder: Path, private: PrivateKey) -> str:
    file = folder / "recovery.key"
    info = KeyInfo.of(private, purpose="recovery")
    file.write_bytes(sealed_file.seal(private, _RIGHT, info=info, cost=CHEAP))
    return SessionKeys(session).recovery(file).public_key.keyid


def _recovery_pem(session: Session, folder: Path, private: PrivateKey) -> str:
    file = folder / "recovery.pem"
    file.write_bytes(write_private_pem(private, _RIGHT.encode()))
    return SessionKeys(session).recovery(file).public_key.keyid


WAYS: Final[dict[str, Callable[[Session, Path, PrivateKey], str]]] = {
    "PEM": _import_pem,
    "a key file of notary": _import_notary,
    "a dump of a notary-signer": _server_key,
    "a recovery file": _recovery_file,
    "a recovery file in PEM": _recovery_pem,
}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def opens(request: pytest.FixtureRequest) -> Callable[[Session, Path, PrivateKey], str]:
    way: Callable[[Session, Path, PrivateKey], str] = request.param
    return way


def _session(folder: Path, source: EnvironmentPassphrases) -> Session:
    session = Home(folder, RepositorySimulator()).session()
    session.passphrases = ComparedPassphrases(source)
    return session


def test_the_last_attempt_is_as_good_as_the_first(
    opens: Callable[[Session, Path, PrivateKey], str], tmp_path: Path
) -> None:
    person, private = Person(*["wrong"] * (ATTEMPTS - 1), _RIGHT, _RIGHT), generate()
    assert opens(_session(tmp_path, EnvironmentPassphrases({}, person)), tmp_path, private) == tuf_key(private).keyid
    assert [retry for *_, retry in person.asked[:ATTEMPTS]] == [False, *[True] * (ATTEMPTS - 1)]


def test_after_the_last_attempt_nobody_is_asked(
    opens: Callable[[Session, Path, PrivateKey], str], tmp_path: Path
) -> None:
    person = Person(*["wrong"] * (ATTEMPTS + 1))
    with pytest.raises(PassphraseWrong):
        opens(_session(tmp_path, EnvironmentPassphrases({}, person)), tmp_path, generate())
    assert len(person.asked) == ATTEMPTS


def test_the_environment_is_asked_once(opens: Callable[[Session, Path, PrivateKey], str], tmp_path: Path) -> None:
    names = ("TRUST_REPOSITORY_PASSPHRASE", "TRUST_RECOVERY_PASSPHRASE", "TRUST_SIGNER_PASSPHRASE")
    person = Person()
    with pytest.raises(PassphraseWrong):
        opens(_session(tmp_path, EnvironmentPassphrases(dict.fromkeys(names, "wrong"), person)), tmp_path, generate())
    assert person.asked == []

"""Two versions of the programs on one TRUST_HOME: the files of version 1, as an earlier program wrote them.

What is written now must stay byte for byte what that program wrote, so that it goes on reading it. Files of a later
version are refused by name by whatever reads or writes them, and stay as they are.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from keys import recovery_file, sealed_file
from keys.algorithms import Algorithm, generate
from keys.document_version import DocumentKind
from keys.errors import KeyFileNewer
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from tests.support.cheap_keys import CHEAP
from tests.support.json_schema import faults
from tests.support.refusal import refused
from trustcli.client.policy_file import load_policy
from trustcli.commands.support import template
from trustcli.config import settings
from trustcli.config.settings import load_hook_settings
from trustcli.errors import SettingsUnusable
from trustcli.publish.bulk import journal
from trustcli.publish.bulk.journal import Journal, RunOf
from trustcli.publish.bulk.work import Begun
from trustcli.state import compromised, last_signed, pins, rotations
from trustcli.state.compromised import CompromisedKey, CompromisedKeys
from trustcli.state.last_signed import LastSigned
from trustcli.state.lockfile import LockFile
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PatternPin, PinEntry, PinsFile
from trustcli.state.rotations import BegunRotation, RotationsFile
from trustdata.errors import FileNewer, PolicyMalformed
from trustdata.gun import GUN
from trustdata.policy import reading
from trustdata.roles import RELEASES, ROOT
from trustdata.verification import lock_document, memory_document
from trustdata.verification.trust_pinning import Pin, parse_pin
from trustserver import settings as server_settings
from trustserver.admin import check_progress
from trustserver.admin.check_progress import CheckProgress
from trustserver.errors import StartRefused
from trustserver.storage import published_log
from trustserver.storage.published_log import PublishedLogFile

VERSION_1: Final = Path(__file__).with_name("trust_home")
APP, MIRROR = GUN("registry.example.com/team/app"), GUN("mirror.example.com/app")
AT = datetime(2026, 11, 30, 3, 4, 5, tzinfo=UTC)
MARK = "0123456789abcdef0123456789abcdef"
PASSPHRASE = "a passphrase of the tests"
PIN = PinEntry(pin=parse_pin("sha256:" + "ab" * 32), format="tuf-1.0", recorded=AT, how="init")
BULK_BEGUN = Begun(made={"alice": "22" * 32}, before=("33" * 32,))
SIGNED = {"55" * 32: AT}
COMPROMISED = CompromisedKey(fingerprint="44" * 32, recorded=AT, name="targets key 0123456789ab")
BEGUN = BegunRotation(new="33" * 32, before=("44" * 32,))

KINDS: Final[dict[str, DocumentKind]] = {
    "pins.toml": pins.KIND,
    "seen.json": memory_document.KIND,
    "trust.lock": lock_document.KIND,
    "rotations.json": rotations.KIND,
    "bulk/run.journal": journal.KIND,
    "compromised.json": compromised.KIND,
    "last-signed.json": last_signed.KIND,
    "policy.toml": reading.KIND,
    "trust.toml": settings.KIND,
    "template.toml": template.KIND,
    "trust-server.toml": server_settings.KIND,
    "trust.witness": published_log.KIND,
    "check": check_progress.KIND,
    "private": sealed_file.KIND,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the files of version 1, with the modes that they had."""
    folder = tmp_path / "home"
    shutil.copytree(VERSION_1, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def key_file(home: Path) -> Path:
    (file,) = home.joinpath("private").glob("*.key")
    return file


# --- an earlier version's files


def test_the_reference_has_every_kind_with_its_version() -> None:
    text = (VERSION_1.parents[2] / "docs" / "reference" / "stability.md").read_text()
    section = text[text.index("## Files") :]
    for kind in KINDS.values():
        stated = f'format{{}} "{kind.stated}"' if kind.name else f"version{{}} {kind.stated}"
        assert any(f"`{quoted}`" in section for quoted in (stated.format(" ="), f'"{stated.format(chr(34) + ":")}'))


@pytest.mark.parametrize("name", ["trust.lock", "policy.toml"])
def test_it_is_what_its_schema_says(name: str) -> None:
    schema = {"trust.lock": "trust-lock", "policy.toml": "policy"}[name]
    assert faults(tomllib.loads((VERSION_1 / name).read_text()), schema) == []


NEWEST: Final = {**dict.fromkeys(KINDS, 1), "pins.toml": 2, "private": 2}
"""The newest version of each kind. Version 2 of `pins.toml` has patterns, and is written only where there are some; of
keys in the store it is an entry for one that lives elsewhere, and sealed ones stay version 1."""


def test_a_new_version_of_a_kind_is_no_accident() -> None:
    """It needs its own fixture here, beside that of every version before it."""
    assert {name: kind.known for name, kind in KINDS.items()} == NEWEST


def test_pins_with_patterns_are_read_and_written_as_in_version_2(home: Path) -> None:
    written = (home / "pins.toml").read_bytes()
    file = PinsFile(home / "pins.toml")
    entry = PatternPin(pin=Pin("key", "ab" * 32), recorded=AT)
    file.record_pattern("registry.example.com/team/*", entry)
    head, _, tables = written.partition(b"\n\n")
    stated = AT.isoformat(sep=" ").encode()
    added = b'\n[patterns."registry.example.com/team/*"]\npin = "key:' + b"ab" * 32 + b'"\nrecorded = ' + stated + b"\n"
    assert (home / "pins.toml").read_bytes() == head + b"\n\nversion = 2\n\n" + tables + added
    assert PinsFile(home / "pins.toml").patterns() == {"registry.example.com/team/*": entry}


def test_pins_are_read_and_written_as_before(home: Path) -> None:
    file = PinsFile(home / "pins.toml")
    found = file.load()
    assert [found[APP].how, found[MIRROR].named, found[APP].recorded] == ["init", APP, AT]
    file.replace(APP, found[APP])
    assert (home / "pins.toml").read_bytes() == (VERSION_1 / "pins.toml").read_bytes()


def test_rollback_memory_is_read_and_written_as_before(home: Path) -> None:
    before = MemoryFile(home / "seen.json").load(APP)
    assert before is not None
    assert (before.roles[ROOT].version, before.refreshed) == (2, AT)
    (home / "seen.json").unlink()
    MemoryFile(home / "seen.json").remember(APP, before)
    assert (home / "seen.json").read_bytes() == (VERSION_1 / "seen.json").read_bytes()


def test_the_lock_file_is_read_and_written_as_before(home: Path) -> None:
    lock = LockFile(home / "trust.lock")
    entries = lock.load()
    assert entries is not None
    assert entries[APP].minimum[RELEASES] == 3
    lock.replace(entries)
    assert (home / "trust.lock").read_bytes() == (VERSION_1 / "trust.lock").read_bytes()


def test_unfinished_rotations_are_read_and_written_as_before(home: Path) -> None:
    file = RotationsFile(home / "rotations.json")
    entry = file.resumed(ROOT, "", [APP], at=AT)
    assert entry.collections == {APP: BEGUN}
    file.begin(entry, APP, BEGUN)
    assert (home / "rotations.json").read_bytes() == (VERSION_1 / "rotations.json").read_bytes()


def test_journals_of_bulk_runs_are_read_and_written_as_before(home: Path) -> None:
    opened = Journal.opened(home / "bulk", _bulk_run())
    assert (opened.found, opened.shared("root"), opened.begun(APP)) == (1, "11" * 32, BULK_BEGUN)
    assert (home / "bulk/run.journal").read_bytes() == (VERSION_1 / "bulk/run.journal").read_bytes()
    (home / "bulk/run.journal").unlink()
    new = Journal.opened(home / "bulk", _bulk_run())
    new.share("root", "11" * 32)
    new.begin(APP, BULK_BEGUN)
    new.end(MIRROR, "done")
    assert new.path.read_bytes() == (VERSION_1 / "bulk/run.journal").read_bytes()


def test_compromised_keys_are_read_and_written_as_before(home: Path) -> None:
    file = CompromisedKeys(home / "compromised.json")
    (known,) = file.load().values()
    assert known == COMPROMISED
    (home / "compromised.json").unlink()
    file.add(known)
    assert (home / "compromised.json").read_bytes() == (VERSION_1 / "compromised.json").read_bytes()


def test_when_keys_have_signed_is_read_and_written_as_before(home: Path) -> None:
    file = LastSigned(home / "last-signed.json")
    assert file.load() == SIGNED
    (home / "last-signed.json").unlink()
    file.note(SIGNED, AT)
    assert (home / "last-signed.json").read_bytes() == (VERSION_1 / "last-signed.json").read_bytes()


def test_entries_for_keys_elsewhere_are_read_and_written_as_in_version_2(tmp_path: Path) -> None:
    (written,) = VERSION_1.with_name("trust_home_2").joinpath("private").glob("*.key")
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    (folder / written.name).write_bytes(written.read_bytes())
    (folder / written.name).chmod(0o600)
    store = FileKeyStore(folder)
    (info,) = store.list()
    assert (info.name, info.purpose, info.uri.partition("?")[0]) == (
        "hsm",
        "root",
        "pkcs11:token=T;serial=0123;object=hsm;id=%02",
    )
    store.remove(info.keyid)
    store.add_elsewhere(info)
    assert (folder / written.name).read_bytes() == written.read_bytes()


def test_sealed_keys_are_opened_and_written_as_before(home: Path) -> None:
    store = FileKeyStore(home / "private", cost=CHEAP)
    (info,) = store.list()
    assert info.name == "alice"
    store.private(info.keyid, PASSPHRASE)
    store.retire(info.keyid)
    before = key_file(VERSION_1).read_bytes()
    assert key_file(home).read_bytes() == before.replace(b'"retired": false', b'"retired": true')


def test_the_witness_is_read_and_written_as_before(home: Path) -> None:
    file = PublishedLogFile(home / "trust.witness", mark=MARK)
    known = file.load()
    assert known is not None
    assert known[APP].revision == 7
    file.rewrite(known)
    file.close()
    assert (home / "trust.witness").read_bytes() == (VERSION_1 / "trust.witness").read_bytes()


def test_policy_and_settings_are_read_as_before(home: Path) -> None:
    (requirement,) = load_policy(home / "policy.toml").rule_for(APP, at=AT).requirements
    assert requirement.signers == ("alice",)
    found = load_hook_settings({}, config=home / "trust.toml", state=home)
    assert found.servers == {"registry.example.com": "https://trust.example.com"}


@pytest.mark.parametrize("name", ["pins.toml", "policy.toml", "trust.toml"])
def test_version_1_may_be_said(home: Path, name: str) -> None:
    (home / name).write_text("version = 1\n" + (home / name).read_text())
    assert PinsFile(home / "pins.toml").load().keys() == {APP, MIRROR}
    load_policy(home / "policy.toml")
    load_hook_settings({}, config=home / "trust.toml", state=home)


@pytest.mark.parametrize("version", ["0", "-1", "true", "1.0", '"1"'])
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("pins.toml", lambda home: PinsFile(home / "pins.toml").load()),
        ("policy.toml", lambda home: load_policy(home / "policy.toml")),
        ("trust.toml", lambda home: load_hook_settings({}, config=home / "trust.toml", state=home)),
        ("template.toml", lambda home: template.read_template(home / "template.toml", at=AT)),
        ("trust-server.toml", lambda home: server_settings.load({}, {}, home / "trust-server.toml")),
    ],
)
def test_a_version_that_is_none_is_a_mistake_in_the_file(
    home: Path, version: str, name: str, use: Callable[[Path], Any]
) -> None:
    before = (home / name).read_text() if (home / name).exists() else ""
    (home / name).write_text(f"version = {version}\n{before}")
    with pytest.raises(
        (SettingsUnusable, PolicyMalformed, StartRefused), match=r"version.* must be a whole number from 1 on"
    ):
        use(home)


def test_the_server_s_settings_may_say_it(home: Path) -> None:
    (home / "trust-server.toml").write_text('version = 1\nlog-level = "debug"\n')
    assert server_settings.load({}, {}, home / "trust-server.toml").settings.log_level == "debug"


# --- a later version's files


def _check_progress(home: Path) -> object:
    return CheckProgress(home / "check", mark=MARK, at=AT)


def _passphrases() -> EnvironmentPassphrases:
    return EnvironmentPassphrases({}, None)


USES: Final[list[tuple[str, Callable[[Path], Any]]]] = [
    ("pins.toml", lambda home: PinsFile(home / "pins.toml").load()),
    ("pins.toml", lambda home: PinsFile(home / "pins.toml").record(APP, PIN)),
    (
        "pins.toml",
        lambda home: PinsFile(home / "pins.toml").replace(APP, PIN),
    ),
    ("seen.json", lambda home: MemoryFile(home / "seen.json").load(APP)),
    ("seen.json", lambda home: MemoryFile(home / "seen.json").forget(APP)),
    (
        "seen.json",
        lambda home: MemoryFile(home / "seen.json").remember(
            APP, memory_document.read_memory(_memory_of_version_1(), path="")
        ),
    ),
    ("trust.lock", lambda home: LockFile(home / "trust.lock").load()),
    ("rotations.json", lambda home: RotationsFile(home / "rotations.json").replaced(ROOT, APP)),
    ("rotations.json", lambda home: RotationsFile(home / "rotations.json").begin(_rotation(), APP, BEGUN)),
    ("rotations.json", lambda home: RotationsFile(home / "rotations.json").finish(_rotation(), [APP])),
    ("bulk/run.journal", lambda home: Journal.opened(home / "bulk", _bulk_run())),
    ("compromised.json", lambda home: CompromisedKeys(home / "compromised.json").load()),
    ("compromised.json", lambda home: CompromisedKeys(home / "compromised.json").add(COMPROMISED)),
    ("last-signed.json", lambda home: LastSigned(home / "last-signed.json").load()),
    ("last-signed.json", lambda home: LastSigned(home / "last-signed.json").note(SIGNED, AT)),
    ("policy.toml", lambda home: load_policy(home / "policy.toml")),
    ("trust.toml", lambda home: load_hook_settings({}, config=home / "trust.toml", state=home)),
    ("template.toml", lambda home: template.read_template(home / "template.toml", at=AT)),
    ("trust-server.toml", lambda home: server_settings.load({}, {}, home / "trust-server.toml")),
    ("trust.witness", lambda home: PublishedLogFile(home / "trust.witness", mark=MARK).load()),
    ("trust.witness", lambda home: PublishedLogFile(home / "trust.witness", mark=MARK).rewrite({})),
    ("check", _check_progress),
    ("private", lambda home: FileKeyStore(home / "private").list()),
    ("private", lambda home: FileKeyStore(home / "private").get(key_file(home).stem)),
    ("private", lambda home: FileKeyStore(home / "private").private(key_file(home).stem, PASSPHRASE)),
    ("private", lambda home: FileKeyStore(home / "private").retire(key_file(home).stem)),
    ("private", lambda home: FileKeyStore(home / "private").passwd(key_file(home).stem, PASSPHRASE, "another")),
    ("private", lambda home: FileKeyStore(home / "private", cost=CHEAP).add(*_another_key(), PASSPHRASE)),
    ("private", lambda home: FileKeyStore(home / "private").add_elsewhere(_key_elsewhere())),
    ("private", lambda home: recovery_file.read(key_file(home), _passphrases())),
    ("private", lambda home: recovery_file.read_public_key(key_file(home), _passphrases())),
]
"""Everything that reads or writes each kind of file."""


def _memory_of_version_1() -> object:
    return memory_document.read_collections((VERSION_1 / "seen.json").read_bytes(), path="")[APP]


def _rotation() -> rotations.UnfinishedRotation:
    return rotations.UnfinishedRotation(role=ROOT, key="", begun=AT, names=frozenset({APP}))


def _bulk_run() -> RunOf:
    return RunOf.of("signer rotate", {"signer": "alice"}, [APP, MIRROR], at=AT)


def _another_key() -> tuple[Any, KeyInfo]:
    private = generate(Algorithm.ED25519)
    return private, KeyInfo.of(private, purpose="signer", name="bob")


def _key_elsewhere() -> KeyInfo:
    return KeyInfo.of(generate(Algorithm.ED25519), purpose="signer", name="bob", uri="exec:/usr/bin/sign")


def later(name: str, home: Path) -> Path:
    """Put a file of version 2 in the place of that of version 1; in all else it may be as it likes."""
    file = key_file(home) if name == "private" else home / name
    kind = KINDS[name]
    version = NEWEST[name] + 1
    if name.endswith((".toml", ".lock")):
        head = f'format = "content-trust-lock-{version}"' if kind.name else f"version = {version}"
        content = f'{head}\nmoved = "to another place"\n[[pins]]\nname = "{APP}"\n'
    else:
        head = f'"format": "{kind.name}{version}"' if kind.name else f'"version": {version}'
        content = f'{{{head}, "moved": ["to another place"], "collections": 7}}\n'
    file.write_text(content)
    file.chmod(0o600)
    return file


def test_everything_is_tried() -> None:
    assert {name for name, _ in USES} == KINDS.keys()


@pytest.mark.parametrize(("name", "use"), USES, ids=[f"{number}-{name}" for number, (name, _) in enumerate(USES)])
def test_a_later_file_is_refused_by_name_and_stays(home: Path, name: str, use: Callable[[Path], Any]) -> None:
    file = later(name, home)
    before = file.read_bytes()
    if name == "private":
        with pytest.raises(KeyFileNewer) as caught:
            use(home)
        assert caught.value.details() == {"place": str(file), "version": 3, "known": 2}
    else:
        with refused(FileNewer, path=str(file), what=KINDS[name].what, version=NEWEST[name] + 1, known=NEWEST[name]):
            use(home)
    assert file.read_bytes() == before

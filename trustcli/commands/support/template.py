"""What new collections shall be like: from the options of `trust init`, or from a TOML file (`--template FILE`).

    version = 1                       # of the form of this file; may be left out
    format = "tuf"                    # or "notary"
    recovery_key = "recovery.key"     # the recovery key's file; false: none
    root_keys = ["0123abcd"]          # root keys of the store; left out: the only one, else a new one
    threshold = 1
    [signers]                         # name -> public keys (PEM)
    alice = ["alice.pub"]

Paths are relative to the file. A collection that is there already is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from keys.algorithms import accepted_fingerprints, key_fingerprint
from keys.document_version import DocumentKind
from keys.keyid import short_keyid
from keys.uris.uri import is_key_uri, shown_uri
from trustcli.commands.support.creation import Recovery
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.signer_key import read_signer_key, signer_key
from trustcli.config.home_folder import expanded
from trustcli.errors import SettingsUnusable, UsageError
from trustcli.session import Session
from trustdata import bounded_toml
from trustdata.document_version import refuse_newer
from trustdata.editing.repository_editor import public_keys, signers_of
from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, shown
from trustdata.model import Key
from trustdata.roles import ROOT, TARGETS, RoleName, signer_name, signer_role
from trustdata.verification.delegations import role_keys
from trustdata.wire import WireFormat

_MEMBERS: Final = ("version", "format", "recovery_key", "root_keys", "threshold", "signers")
KIND: Final = DocumentKind(what="a template")
_MAX_TEMPLATE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a collection shall be like. `recovery`: None if the user has not decided. `signers`: keys by name."""

    wire: WireFormat
    recovery: Recovery | None = None
    root_keys: Sequence[str] = ()
    threshold: int = 1
    signers: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)


def signer_options(session: Session, texts: Sequence[str]) -> dict[str, tuple[Key, ...]]:
    """Return the signers that `--signer NAME=FILE`, or NAME=URI, names. Raises: UsageError, InvalidName, KeysError."""
    found: dict[str, tuple[Key, ...]] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise UsageError(f"--signer takes NAME=FILE or NAME=URI, not {shown(text)}")
        signer_role(name)
        found[name] = (*found.get(name, ()), signer_key(session, file))
    return found


def read_template(file: Path, *, at: datetime) -> Template:
    """Return the template in a file. Raises: SettingsUnusable (names the file and the member), FileNewer, KeysError."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_TEMPLATE + 1)
    except OSError as error:
        raise SettingsUnusable(place=str(file), reason=error.strerror or type(error).__name__) from error
    if len(raw) > _MAX_TEMPLATE:
        raise SettingsUnusable(place=str(file), reason=f"larger than {_MAX_TEMPLATE} bytes")
    try:
        document = bounded_toml.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SettingsUnusable(place=str(file), reason=f"is not TOML: {error}") from error
    return _Reader(file, document).template(at)


class _Reader:
    """Checks the members of one file. Raises: SettingsUnusable."""

    def __init__(self, file: Path, document: Mapping[str, Any]) -> None:
        self._file = file
        self._document = document

    def template(self, at: datetime) -> Template:
        refuse_newer(KIND, self._document, path=str(self._file))
        if not KIND.is_known(self._document):
            raise self._unusable("version must be a whole number from 1 on")
        unknown = sorted(set(self._document) - set(_MEMBERS))
        if unknown:
            raise self._unusable(f"{shown(unknown[0])} is not known; write {', '.join(_MEMBERS)}")
        threshold = self._document.get("threshold", 1)
        if type(threshold) is not int or threshold < 1:
            raise self._unusable("threshold must be a number from 1 on")
        try:
            wire = parse_format(str(self._document.get("format", "tuf")))
        except UsageError as error:
            raise self._unusable("format must be tuf or notary") from error
        return Template(
            wire=wire,
            recovery=self._recovery(),
            root_keys=self._texts(self._document.get("root_keys", []), "root_keys"),
            threshold=threshold,
            signers=self._signers(at),
        )

    def _recovery(self) -> Recovery | None:
        given = self._document.get("recovery_key")
        if given is None:
            return None
        if given is False:
            return Recovery(place=None)
        if not isinstance(given, str) or not given:
            raise self._unusable("recovery_key must be the path of a file, or false")
        return Recovery(place=self._path(given))

    def _signers(self, at: datetime) -> dict[str, tuple[Key, ...]]:
        given = self._document.get("signers", {})
        if not isinstance(given, dict):
            raise self._unusable("[signers] must have names with lists of files")
        found = {}
        for name, files in given.items():
            try:
                signer_role(name)
            except InvalidName as error:
                raise self._unusable(f"[signers]: {error}") from error
            paths = self._texts(files, f"signers.{shown(name)}")
            if not paths:
                raise self._unusable(f"signers.{shown(name)} has no key")
            found[name] = tuple(read_signer_key(self._path(path), at) for path in paths)
        return found

    def _path(self, written: str) -> Path:
        """Return a path, which is relative to the template. The URI of a key is none: opening it may run a program."""
        if is_key_uri(written):
            raise self._unusable(f"{shown_uri(written)} is the URI of a key, which only a command line may name")
        try:
            return self._file.parent / expanded(written)
        except SettingsUnusable as error:
            raise self._unusable(f"{shown(written)} {error.reason}") from error

    def _texts(self, value: object, member: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self._unusable(f"{member} must be a list of words in quotation marks")
        return tuple(value)

    def _unusable(self, reason: str) -> SettingsUnusable:
        return SettingsUnusable(place=str(self._file), reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a collection differs from a template.

    `different`: in words. `missing`: signers that it lacks; `begun`: whether nothing was done in it but adding signers.
    """

    different: tuple[str, ...]
    missing: tuple[str, ...]
    begun: bool


def compare(
    template: Template, roles: Mapping[RoleName, Envelope], *, recovery: Key | None, root_keys: Sequence[Key]
) -> Comparison:
    """Compare a collection with a template. `recovery`, `root_keys`: the keys that the template means."""
    signers = {signer_name(role): keyids for role, keyids in signers_of(roles).items()}
    missing = tuple(name for name in template.signers if name not in signers)
    tags = any(envelope.targets.targets for role, envelope in roles.items() if role.startswith(TARGETS))
    return Comparison(
        different=tuple(_differences(template, roles, signers, recovery, root_keys)),
        missing=missing,
        begun=not tags and roles[TARGETS].version <= 1 + len(signers),
    )


def _differences(
    template: Template,
    roles: Mapping[RoleName, Envelope],
    signers: Mapping[str, Sequence[str]],
    recovery: Key | None,
    root_keys: Sequence[Key],
) -> Iterator[str]:
    root = roles[ROOT].root
    role = root.roles[ROOT]
    present = accepted_fingerprints(role_keys(root, ROOT).values())
    if role.threshold != template.threshold:
        yield f"{role.threshold} root keys must sign a root, not {template.threshold}"
    if recovery is not None and key_fingerprint(recovery) not in present:
        yield "the recovery key is not one of its root keys"
    for key in root_keys:
        if key_fingerprint(key) not in present:
            yield f"{short_keyid(key.keyid)} is not one of its root keys"
    number = max(1, len(root_keys)) + (recovery is not None)
    if len(present) != number:
        yield f"it has {len(present)} root keys, not {number}"
    public = public_keys(roles, {})
    for name in signers:
        if name not in template.signers:
            yield f"{shown(name)} is a signer of it"
            continue
        keys = accepted_fingerprints(public[keyid] for keyid in signers[name] if keyid in public)
        if keys != accepted_fingerprints(template.signers[name]):
            yield f"signer {name} has other keys"

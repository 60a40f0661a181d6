"""Corruptions of one document, by name: what the text says, and where the refusal must say that it is wrong.

Each works on the text of `signed` (or of the whole file) of any role's next version; the file is then signed by the
right keys, and every hash above it fits. So nothing but the corruption can be refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.simulator import keyring
from tests.simulator.repository import APP
from trustdata.errors import MalformedMetadata, TrustError
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

EVERY_ROLE: Final = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES)
_VERSION: Final = re.compile(rb'"version":[0-9]+(,"x-content-trust-gun":"[^"]+")?}$')


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """`path`: the member path that the refusal names (a regular expression). `whole_file`: not only `signed`.
    `formats`: those in which this is wrong; Notary v1 has no `spec_version`, no versions in snapshot and timestamp, no
    `terminating` and no succinct roles, and reads expiries of any zone and fraction, and unknown members.
    """

    name: str
    change: Callable[[bytes], bytes]
    path: str
    whole_file: bool = False
    roles: tuple[RoleName, ...] = EVERY_ROLE
    refused: type[TrustError] = MalformedMetadata
    formats: tuple[WireFormat, ...] = (TUF, NOTARY)

    def __str__(self) -> str:
        return self.name


def _version(replacement: bytes) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        match = _VERSION.search(text)
        assert match
        return text[: match.start()] + b'"version":' + replacement + (match[1] or b"") + b"}"

    return change


def _replace(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        assert old in text
        return text.replace(old, new, 1)

    return change


def _member(text: bytes) -> Callable[[bytes], bytes]:
    """One more member at the start of the object."""
    return lambda document: b"{" + text + b"," + document[1:]


def _sub(pattern: bytes, replacement: bytes) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        changed, count = re.subn(pattern, replacement, text, count=1)
        assert count == 1
        return changed

    return change


def _twice(text: bytes) -> bytes:
    """The same signature, listed twice."""
    match = re.match(rb'\{"signatures":\[(\{[^}]*\})', text)
    assert match
    return text[: match.end()] + b"," + match[1] + text[match.end() :]


def _rename_a_key(text: bytes) -> bytes:
    """A key that no signature here depends on, under an id that is not its hash."""
    for wire in (TUF, NOTARY):
        keys = keyring.Keys(wire=wire, gun=APP)
        for keyid in (keys.root_keyid("recovery"), keys.keyid("alice")):
            text = text.replace(keyid.encode(), b"a" * 64)
    return text


CORRUPTIONS: Final = (
    # --- JSON that two parsers could read differently
    Corruption(name="duplicate-member", change=_member(b'"version":1'), path="signed"),
    Corruption(name="duplicate-signed", change=_member(b'"signed":{}'), path="", whole_file=True),
    Corruption(name="version-true", change=_version(b"true"), path="signed.version"),
    Corruption(name="version-float", change=_version(b"9.0"), path="signed.version"),
    Corruption(name="version-exponent", change=_version(b"9e0"), path="signed.version"),
    Corruption(name="version-minus-zero", change=_version(b"-0"), path="signed.version"),
    Corruption(name="version-nan", change=_version(b"NaN"), path="signed.version"),
    Corruption(name="version-infinity", change=_version(b"Infinity"), path="signed.version"),
    Corruption(name="version-text", change=_version(b'"9"'), path="signed.version"),
    Corruption(name="version-null", change=_version(b"null"), path="signed.version"),
    Corruption(name="version-zero", change=_version(b"0"), path="signed.version"),
    Corruption(name="version-negative", change=_version(b"-9"), path="signed.version"),
    Corruption(name="version-2**53", change=_version(b"9007199254740992"), path="signed.version"),
    Corruption(name="version-of-5000-digits", change=_version(b"9" * 5000), path="signed.version"),
    Corruption(name="foreign-float", change=_member(b'"a":0.5'), path="signed.a"),
    Corruption(name="foreign-nan", change=_member(b'"a":[NaN]'), path=r"signed.a\[0\]"),
    Corruption(name="nested-34-deep", change=_member(b'"A":' + b"[" * 32 + b"]" * 32), path=""),
    Corruption(name="nested-34-deep-by-turns", change=_member(b'"A":' + b'{"a":[' * 16 + b"]}" * 16), path=""),
    Corruption(
        name="nested-100000-deep",
        change=_member(b'"A":' + b"[" * 10**5 + b"]" * 10**5),
        path=".*",
        roles=(ROOT, SNAPSHOT, TARGETS, RELEASES),
    ),
    Corruption(name="lone-surrogate", change=_member(rb'"a":"\ud800"'), path="signed.a"),
    Corruption(name="lone-surrogate-in-a-name", change=_member(rb'"\udc00":1'), path="signed"),
    Corruption(name="surrogate-in-utf-8", change=_member(b'"a":"\xed\xa0\x80"'), path=""),
    Corruption(name="control-character", change=_member(b'"a":"\x01"'), path=""),
    Corruption(name="not-utf-8", change=_member(b'"a":"\xff"'), path=""),
    Corruption(name="byte-order-mark", change=lambda text: b"\xef\xbb\xbf" + text, path="", whole_file=True),
    Corruption(name="something-after-it", change=lambda text: text + b"{}", path="", whole_file=True),
    Corruption(name="cut-in-the-middle", change=lambda text: text[: len(text) // 2], path="", whole_file=True),
    Corruption(name="empty", change=lambda _: b"", path="", whole_file=True),
    Corruption(name="no-object", change=lambda _: b"[]", path="", whole_file=True),
    # --- the envelope
    Corruption(name="signature-twice", change=_twice, path=r"signatures\[1\].keyid", whole_file=True),
    Corruption(
        name="no-signatures", change=_replace(b'"signatures"', b'"signature"'), path="signatures", whole_file=True
    ),
    Corruption(
        name="signatures-no-array",
        change=_sub(rb'"signatures":\[.*?\]', b'"signatures":{}'),
        path="signatures",
        whole_file=True,
    ),
    Corruption(
        name="signature-no-text",
        change=_sub(rb'"sig": ?"[^"]+"', b'"sig":1'),
        path=r"signatures\[0\].sig",
        whole_file=True,
    ),
    Corruption(name="nothing-signed", change=_replace(b'"signed"', b'"sign"'), path="signed", whole_file=True),
    # --- what every role has
    Corruption(name="wrong-type", change=_sub(rb'"_type":"[A-Za-z]+"', b'"_type":"mirrors"'), path="signed._type"),
    Corruption(
        name="type-of-another-role",
        change=_sub(rb'"_type":"[A-Za-z]+"', b'"_type":"snapshot"'),
        path="signed._type",
        roles=(ROOT, TIMESTAMP, TARGETS, RELEASES),
    ),
    Corruption(
        name="notary-type",
        change=_sub(rb'"_type":"[A-Za-z]+"', b'"_type":"Targets"'),
        path="signed._type",
        formats=(TUF,),
    ),
    Corruption(
        name="notary-type-of-another-role",
        change=_sub(rb'"_type":"[A-Za-z]+"', b'"_type":"Snapshot"'),
        path="signed._type",
        roles=(ROOT, TIMESTAMP, TARGETS, RELEASES),
    ),
    Corruption(
        name="tuf-type",
        change=_sub(rb'"_type":"[A-Za-z]+"', b'"_type":"targets"'),
        path="signed._type",
        formats=(NOTARY,),
    ),
    Corruption(
        name="spec-version-2",
        change=_sub(rb'"spec_version":"[^"]+"', b'"spec_version":"2.0.0"'),
        path="signed.spec_version",
        formats=(TUF,),
    ),
    Corruption(
        name="spec-version-missing",
        change=_replace(b'"spec_version"', b'"spec"'),
        path="signed.spec_version",
        formats=(TUF,),
    ),
    Corruption(name="expires-with-fraction", change=_sub(rb'Z"', b'.5Z"'), path="signed.expires", formats=(TUF,)),
    Corruption(name="expires-with-ten-digits", change=_sub(rb'Z"', b'.0123456789Z"'), path="signed.expires"),
    Corruption(name="expires-without-zone", change=_sub(rb'Z"', b'"'), path="signed.expires"),
    Corruption(name="expires-with-offset", change=_sub(rb'Z"', b'+00:00"'), path="signed.expires", formats=(TUF,)),
    Corruption(
        name="expires-on-february-30",
        change=_sub(rb'"expires":"....-..-..', b'"expires":"2027-02-30'),
        path="signed.expires",
    ),
    Corruption(name="expires-missing", change=_replace(b'"expires"', b'"expire"'), path="signed.expires"),
    # --- root
    Corruption(
        name="consistent-snapshot-1",
        change=_sub(rb'"consistent_snapshot":(true|false)', b'"consistent_snapshot":1'),
        path="signed.consistent_snapshot",
        roles=(ROOT,),
    ),
    Corruption(
        name="keyid-not-its-hash",
        change=_rename_a_key,
        path=r"signed\.(delegations\.)?keys\.a{64}",
        roles=(ROOT, TARGETS),
    ),
    Corruption(
        name="threshold-zero",
        change=_sub(rb'"threshold":[0-9]+', b'"threshold":0'),
        path=r"signed\..*threshold",
        roles=(ROOT, TARGETS),
    ),
    Corruption(
        name="threshold-true",
        change=_sub(rb'"threshold":[0-9]+', b'"threshold":true'),
        path=r"signed\..*threshold",
        roles=(ROOT, TARGETS),
    ),
    Corruption(
        name="role-key-twice",
        change=_sub(rb'"keyids":\["([0-9a-f]+)"', rb'"keyids":["\1","\1"'),
        path=r"signed\..*keyids",
        roles=(ROOT, TARGETS),
    ),
    Corruption(
        name="one-role-missing",
        change=_replace(b'"snapshot":{"keyids"', b'"mirrors":{"keyids"'),
        path="signed.roles",
        roles=(ROOT,),
    ),
    # --- timestamp, snapshot
    Corruption(
        name="meta-version-true",
        change=_sub(rb'"version":[0-9]+}}', b'"version":true}}'),
        path=r"signed\.meta\..*version",
        roles=(TIMESTAMP, SNAPSHOT),
        formats=(TUF,),
    ),
    Corruption(
        name="meta-length-float",
        change=_sub(rb'"length":[0-9]+', b'"length":9.0'),
        path=r"signed\.meta\..*length",
        roles=(TIMESTAMP, SNAPSHOT),
    ),
    Corruption(
        name="meta-hash-in-capitals",
        change=_sub(rb'"sha256":"[^"]+"', b'"sha256":"AB"'),
        path=r"signed\.meta\..*hashes\.sha256",
        roles=(TIMESTAMP, SNAPSHOT),
    ),
    Corruption(
        name="meta-without-hashes-in-hashes",
        change=_sub(rb'"hashes":{[^}]*}', b'"hashes":{}'),
        path=r"signed\.meta\..*hashes",
        roles=(TIMESTAMP, SNAPSHOT),
    ),
    Corruption(
        name="timestamp-lists-more",
        change=_replace(b'"meta":{', b'"meta":{"root.json":{"version":1},'),
        path="signed.meta",
        roles=(TIMESTAMP,),
        formats=(TUF,),
    ),
    Corruption(
        name="snapshot-lists-no-file",
        change=_replace(b'"meta":{', b'"meta":{"elf":{"version":1},'),
        path="signed.meta.elf",
        roles=(SNAPSHOT,),
        formats=(TUF,),
    ),
    Corruption(
        name="snapshot-lists-no-role",
        change=_replace(b'"meta":{', b'"meta":{"\\n.json":{"version":1},'),
        path="(?s)signed.meta.\n.json",
        roles=(SNAPSHOT,),
    ),
    # --- targets and delegations
    Corruption(
        name="target-length-true",
        change=_sub(rb'"length":[0-9]+', b'"length":true'),
        path=r"signed\.targets\..*length",
        roles=(RELEASES,),
    ),
    Corruption(
        name="target-without-hashes",
        change=_sub(rb'"hashes":{[^}]*}', b'"hashes":{}'),
        path=r"signed\.targets\..*hashes",
        roles=(RELEASES,),
    ),
    Corruption(
        name="target-custom-no-object",
        change=_sub(rb'"hashes":', b'"custom":[],"hashes":'),
        path=r"signed\.targets\..*custom",
        roles=(RELEASES,),
        formats=(TUF,),
    ),
    Corruption(
        name="target-without-name",
        change=_replace(b'"targets":{', b'"targets":{"":{"hashes":{"sha256":"ab"},"length":1},'),
        path="signed.targets",
        roles=(RELEASES,),
    ),
    Corruption(
        name="delegation-to-root",
        change=_sub(rb'"name":"[^"]+"', b'"name":"root"'),
        path=r"signed\.delegations\.roles\[0\]\.name",
        roles=(TARGETS,),
    ),
    Corruption(
        name="delegation-to-a-control-character",
        change=_replace(b'"name":"targets/releases"', b'"name":"a\\u0007b"'),
        path=r"signed\.delegations\.roles\[0\]\.name",
        roles=(TARGETS,),
    ),
    Corruption(
        name="delegation-twice",
        change=_replace(b'"name":"targets/alice"', b'"name":"targets/releases"'),
        path=r"signed\.delegations\.roles\[1\]\.name",
        roles=(TARGETS,),
    ),
    Corruption(
        name="delegation-with-both-kinds-of-paths",
        change=_replace(b'"paths":', b'"path_hash_prefixes":["ab"],"paths":'),
        path=r"signed\.delegations\.roles\[0\]",
        roles=(TARGETS,),
        formats=(TUF,),
    ),
    Corruption(
        name="delegation-terminating-1",
        change=_replace(b'"terminating":true', b'"terminating":1'),
        path=r"signed\.delegations\.roles\[0\]\.terminating",
        roles=(TARGETS,),
        formats=(TUF,),
    ),
    Corruption(
        name="delegation-both-roles-and-succinct",
        change=_replace(b'"roles":[', b'"succinct_roles":{},"roles":['),
        path="signed.delegations",
        roles=(TARGETS,),
        formats=(TUF,),
    ),
    # --- what Notary v1's clients read in two ways, or cannot survive
    Corruption(name="member-in-capitals", change=_member(b'"Version":9'), path="signed.Version", formats=(NOTARY,)),
    Corruption(
        name="signature-member-in-capitals",
        change=_replace(b'"sig":', b'"Sig":"AAAA","sig":'),
        path=r"signatures\[0\]\.Sig",
        whole_file=True,
        formats=(NOTARY,),
    ),
    Corruption(
        name="signature-without-method",
        change=_sub(rb'"method": ?"[^"]+"', b'"x":1'),
        path=r"signatures\[0\]\.method",
        whole_file=True,
        formats=(NOTARY,),
    ),
    Corruption(
        name="targets-null",
        change=_sub(rb'"targets":\{("2|.*$)', b'"targets":null,"version":9}'),
        path=r"signed\.targets",
        roles=(RELEASES,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="target-custom-not-canonical",
        change=_sub(rb'"hashes":', b'"custom":{"b":1,"a":1},"hashes":'),
        path=r"signed\.targets\..*custom",
        roles=(RELEASES,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="target-custom-escaped-by-go",
        change=_sub(rb'"hashes":', b'"custom":{"a":"<"},"hashes":'),
        path=r"signed\.targets\..*custom",
        roles=(RELEASES,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="hash-of-another-length",
        change=_sub(rb'"sha512":"[^"]+"', b'"sha512":"AAAA"'),
        path=r"signed\.meta\..*sha512",
        roles=(TIMESTAMP, SNAPSHOT),
        formats=(NOTARY,),
    ),
    Corruption(
        name="snapshot-without-root",
        change=_sub(rb'"root":', b'"targets/root":'),
        path="signed.meta",
        roles=(SNAPSHOT,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="delegation-of-a-role-below-another",
        change=_replace(b'"name":"targets/alice"', b'"name":"targets/x/alice"'),
        path=r"signed\.delegations\.roles\[1\]\.name",
        roles=(TARGETS,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="delegation-in-capitals",
        change=_replace(b'"name":"targets/alice"', b'"name":"targets/Alice"'),
        path=r"signed\.delegations\.roles\[1\]\.name",
        roles=(TARGETS,),
        formats=(NOTARY,),
    ),
    Corruption(
        name="private-key",
        change=_replace(b'"private":null', b'"private":"AAAA"'),
        path=r"signed\..*keyval\.private",
        roles=(ROOT, TARGETS),
        formats=(NOTARY,),
    ),
)
"""Of the next version of a role: everything that the strict reading refuses."""

CASES: Final = tuple(
    (wire, role, corruption) for corruption in CORRUPTIONS for role in corruption.roles for wire in corruption.formats
)


def case_id(case: tuple[WireFormat, RoleName, Corruption]) -> str:
    """Name a case in the list of tests."""
    wire, role, corruption = case
    return f"{corruption.name}-in-{role}-{wire.name}"

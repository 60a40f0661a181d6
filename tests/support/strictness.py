"""Documents of TUF 1.0 that python-tuf reads and we refuse, by the names that docs/reference/tuf-format.md lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Strictness:
    """One kind of strictness.

    `change`: of the whole file, as parsed JSON. `path`: the member that the refusal names. `used`: refused only when
    the member is used, so that the file itself can be read.
    """

    name: str
    role: RoleName
    change: Callable[[Document], object]
    path: str
    used: bool = False

    def __str__(self) -> str:
        return self.name


def _signed(change: Callable[[Document], object]) -> Callable[[Document], object]:
    return lambda file: change(file["signed"])


def _first(members: Document) -> Document:
    found: Document = next(iter(members.values()))
    return found


def _rename(members: Document, old: str, new: str) -> None:
    members[new] = members.pop(old)


def _signature(**members: object) -> Callable[[Document], object]:
    return lambda file: file["signatures"].append({"keyid": "ab" * 32, "sig": "00", **members})


def _target(change: Callable[[Document], object]) -> Callable[[Document], object]:
    return _signed(lambda signed: change(_first(signed["targets"])))


def _key(change: Callable[[Document], object]) -> Callable[[Document], object]:
    """Change a key that no role names, so that nothing but the key itself can be refused."""

    def changed(file: Document) -> None:
        key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "ab" * 32}}
        change(key)
        file["signed"]["keys"]["cd" * 32] = key

    return changed


STRICTNESS: Final = (
    Strictness(name="signature-no-hex", role=TARGETS, change=_signature(sig="zz"), path="signatures[{last}].sig"),
    Strictness(
        name="signature-with-a-blank", role=TARGETS, change=_signature(sig="00 11"), path="signatures[{last}].sig"
    ),
    Strictness(
        name="signature-with-a-newline", role=TARGETS, change=_signature(sig="0011\n"), path="signatures[{last}].sig"
    ),
    Strictness(
        name="signature-of-odd-length", role=TARGETS, change=_signature(sig="001"), path="signatures[{last}].sig"
    ),
    Strictness(
        name="signature-with-an-empty-key-id",
        role=TARGETS,
        change=_signature(keyid=""),
        path="signatures[{last}].keyid",
    ),
    Strictness(
        name="key-id-that-is-no-text",
        role=ROOT,
        change=_signed(lambda d: d["roles"]["targets"]["keyids"].append(5)),
        path="signed.roles.targets.keyids[1]",
    ),
    Strictness(
        name="key-id-that-is-no-hash",
        role=ROOT,
        change=_signed(lambda d: d["roles"]["targets"]["keyids"].append("alice")),
        path="signed.roles.targets.keyids[1]",
    ),
    Strictness(
        name="empty-key-id",
        role=ROOT,
        change=_signed(lambda d: d["roles"]["targets"]["keyids"].append("")),
        path="signed.roles.targets.keyids[1]",
    ),
    Strictness(
        name="empty-public-key",
        role=ROOT,
        change=_key(lambda key: key["keyval"].update(public="")),
        path=f"signed.keys.{'cd' * 32}.keyval.public",
    ),
    Strictness(
        name="consistent-snapshot-that-is-no-boolean",
        role=ROOT,
        change=_signed(lambda d: d.update(consistent_snapshot=1)),
        path="signed.consistent_snapshot",
    ),
    Strictness(
        name="threshold-true",
        role=ROOT,
        change=_signed(lambda d: d["roles"]["targets"].update(threshold=True)),
        path="signed.roles.targets.threshold",
    ),
    Strictness(
        name="expiry-without-leading-zeros",
        role=ROOT,
        change=_signed(lambda d: d.update(expires="2030-1-2T3:4:5Z")),
        path="signed.expires",
    ),
    Strictness(
        name="terminating-that-is-no-boolean",
        role=TARGETS,
        change=_signed(lambda d: d["delegations"]["roles"][0].update(terminating=1)),
        path="signed.delegations.roles[0].terminating",
    ),
    Strictness(
        name="role-name-with-a-control-character",
        role=TARGETS,
        change=_signed(lambda d: d["delegations"]["roles"][0].update(name="a\u0007")),
        path="signed.delegations.roles[0].name",
    ),
    Strictness(
        name="snapshot-name-without-json",
        role=SNAPSHOT,
        change=_signed(lambda d: d["meta"].update(elf={"version": 1})),
        path="signed.meta.elf",
    ),
    Strictness(
        name="timestamp-that-lists-more",
        role=TIMESTAMP,
        change=_signed(lambda d: d["meta"].update({"root.json": {"version": 1}})),
        path="signed.meta",
    ),
    Strictness(
        name="hash-in-capitals",
        role=RELEASES,
        change=_target(lambda target: target["hashes"].update(sha256="AB" * 32)),
        path="signed.targets.1.0.hashes.sha256",
    ),
    Strictness(
        name="empty-hash",
        role=RELEASES,
        change=_target(lambda target: target["hashes"].update(sha256="")),
        path="signed.targets.1.0.hashes.sha256",
    ),
    Strictness(
        name="hash-algorithm-in-capitals",
        role=RELEASES,
        change=_target(lambda target: _rename(target["hashes"], "sha256", "SHA256")),
        path="signed.targets.1.0.hashes",
        used=True,
    ),
    Strictness(
        name="custom-null",
        role=RELEASES,
        change=_target(lambda target: target.update(custom=None)),
        path="signed.targets.1.0.custom",
    ),
    Strictness(
        name="custom-array",
        role=RELEASES,
        change=_target(lambda target: target.update(custom=[])),
        path="signed.targets.1.0.custom",
    ),
    Strictness(
        name="target-without-a-name",
        role=RELEASES,
        change=_signed(lambda d: d["targets"].update({"": {"length": 1, "hashes": {"sha256": "ab" * 32}}})),
        path="signed.targets",
    ),
)
"""Each is read by python-tuf 7.0.1: the test of this table makes sure of it."""

"""Files that no honest writer makes: altered text under a good signature, wrong signers, wrong everything.

Signatures cover what a lenient parser would read out of the text, so that a refusal is about the alteration itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Signer

from tests.simulator.repository import RepositorySimulator
from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.model import MetaFile
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

Document = dict[str, Any]


def file_of(signed: bytes, signers: Sequence[Signer]) -> bytes:
    """A file around the text of `signed`, signed over what a lenient parser makes of it."""
    try:
        payload = str(encode_canonical(json.loads(signed))).encode()
    except (ValueError, RecursionError, FormatError):
        payload = signed  # nobody can say what was signed
    signatures = [signer.sign(payload).to_dict() for signer in signers]
    return b'{"signatures":' + json.dumps(signatures, separators=(",", ":")).encode() + b',"signed":' + signed + b"}"


def text_of(document: object) -> bytes:
    """Canonical order, no whitespace: what `file_of` wants."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Forger:
    """Somebody with the named keys and with the server in his hands: he can put any bytes anywhere.

    `reissue` makes snapshot and timestamp follow, with the online keys, as a compromised server would: then hashes and
    versions fit, and only the alteration itself can be refused.
    """

    KEYS_OF: ClassVar = {ROOT: ("root", "recovery"), TARGETS: ("targets",), RELEASES: ("targets",)}

    def __init__(self, server: RepositorySimulator) -> None:
        self.server = server

    def signers_of(self, role: RoleName) -> list[Signer]:
        """The keys that honestly sign a role."""
        if role in self.server.online:
            return [self.server.online[role]]
        names = self.KEYS_OF.get(role, (role.removeprefix("targets/"),))
        return self.signers(role, *names)

    def signers(self, role: RoleName, *names: str) -> list[Signer]:
        """The named actors, as they sign a role."""
        keys = self.server.keys
        return [keys.root_signer(name) if role == ROOT else keys.signer(name) for name in names]

    def raw(self, role: RoleName) -> bytes:
        return self.server.stored[role].raw

    def document(self, role: RoleName) -> Document:
        """The role's `signed`, to be changed."""
        document: Document = json.loads(self.raw(role))["signed"]
        return document

    def file(self, role: RoleName, document: Document) -> bytes:
        """Signed by the honest keys."""
        return file_of(text_of(document), self.signers_of(role))

    def successor(
        self,
        role: RoleName,
        change: Callable[[Document], object] = lambda _: None,
        *,
        signers: Sequence[Signer] | None = None,
    ) -> Envelope:
        """The next version of the role, changed and signed, which the server does not have yet."""
        document = self.document(role)
        document["version"] += 1
        change(document)
        raw = file_of(text_of(document), self.signers_of(role) if signers is None else signers)
        return self.server.wire.parse(role, raw)

    def alter(
        self,
        role: RoleName,
        change: Callable[[Document], object],
        *,
        signers: Sequence[Signer] | None = None,
        reissue: bool = True,
    ) -> bytes:
        """Change `signed` as plain values, sign it again, serve it under the version that it then has."""
        document = self.document(role)
        change(document)
        raw = file_of(text_of(document), self.signers_of(role) if signers is None else signers)
        self.put(role, raw, version=document["version"], reissue=reissue)
        return raw

    def alter_text(
        self, role: RoleName, change: Callable[[bytes], bytes], *, whole_file: bool = False, next_version: bool = True
    ) -> bytes:
        """Change the text of `signed` (or of the whole file) of the role's next version; hashes are made to fit."""
        version = self.server.stored[role].version + (1 if next_version else 0)
        document = self.document(role)
        document["version"] = version
        if whole_file:
            raw = change(file_of(text_of(document), self.signers_of(role)))
        else:
            raw = file_of(change(text_of(document)), self.signers_of(role))
        self.put(role, raw, version=version)
        return raw

    def put(self, role: RoleName, raw: bytes, *, version: int, reissue: bool = True) -> None:
        """Serve bytes as the role's file of that version; the roles above it follow, if they are to."""
        server = self.server
        server.files[server.place(role, version, raw)] = raw
        with suppress(TrustError):
            server.stored[role] = server.wire.parse(role, raw)
        if not reissue or role == TIMESTAMP or (role == ROOT and not server.wire.snapshot_lists_root):
            return
        meta = server.meta(version, raw)
        if role == SNAPSHOT:
            self.name_snapshot(meta)
        else:
            self.list_in_snapshot(role, meta)

    def list_in_snapshot(self, role: RoleName, meta: MetaFile | None) -> None:
        """The next snapshot and timestamp, in which the role stands so (None: not at all)."""

        def change(document: Document) -> None:
            document["version"] += 1
            if meta is None:
                del document["meta"][self.listed(role)]
            else:
                document["meta"][self.listed(role)] = self.server.written(meta)

        self.alter(SNAPSHOT, change)

    def name_snapshot(self, meta: MetaFile) -> None:
        """The next timestamp, which names this snapshot."""

        def change(document: Document) -> None:
            document["version"] += 1
            document["meta"][self.listed(SNAPSHOT)] = self.server.written(meta)

        self.alter(TIMESTAMP, change)

    def next_root(self, change: Callable[[Document], object], *signers: str) -> bytes:
        """The next root, changed, signed by the named keys (without names: by the honest ones)."""

        def successor(document: Document) -> None:
            document["version"] += 1
            change(document)

        return self.alter(ROOT, successor, signers=self.signers(ROOT, *signers) if signers else None)

    def listed(self, role: RoleName) -> str:
        """The name of a role in snapshot or timestamp."""
        return f"{role}.json" if self.server.wire.lists_versions else role

    def target(self, digest: str, length: int = 1) -> Document:
        """A target as documents write it; the digest in hex."""
        return {"hashes": {"sha256": self.server.written_hash(digest)}, "length": length}

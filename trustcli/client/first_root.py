"""Find the root with which a Notary v1 collection begins, where the server has no version 1 (docs/adr/0064).

`notary init`, `notary key rotate` and `notary publish` make a collection whose first published root is version 2. Who
knows nothing of such a collection follows the roots down from the newest one, once. Whoever knows the hash of a root,
by a pin, rollback memory or the lock file, asks for the root with this hash and for no other: a server that hides the
first root gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trustcli.client.ports import MetadataRemote
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata, NotTrusted, TrustDataWithheld
from trustdata.gun import GUN
from trustdata.limits import MAX_ROOT_ROTATIONS
from trustdata.model import UnversionedMeta
from trustdata.roles import ROOT
from trustdata.verification import checks
from trustdata.verification.trust_pinning import SourcedPin
from trustdata.wire import WireFormat


class RootSearch:
    """Looks for roots of one collection on one server. Nothing that it returns has been verified as belonging to it."""

    def __init__(self, gun: GUN, wire: WireFormat, remote: MetadataRemote) -> None:
        self._gun = gun
        self._wire = wire
        self._remote = remote

    def known(self, roots: Iterable[SourcedPin]) -> Envelope | None:
        """Return the oldest of these roots, which the server must have all; None if it has no root at all.

        A pin of a key decides about version 1 alone, which the server does not have.

        Raises: TrustDataWithheld if the server has others; MalformedMetadata, TooLarge, RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved.
        """
        found: list[Envelope] = []
        for known in {known.pin: known for known in roots}.values():
            root = self._with_hash(known.pin.digest) if known.pin.kind == "sha256" else None
            if root is not None:
                found.append(root)
            elif self._fetch(self._wire.filename(ROOT)) is None:
                return None
            else:
                missing = f"the root {known.pin}" if known.pin.kind == "sha256" else f"root version 1, for {known.pin}"
                raise TrustDataWithheld(gun=self._gun, known_by=known.source, missing=missing)
        return min(found, key=lambda root: root.version, default=None)

    def _with_hash(self, sha256: str) -> Envelope | None:
        meta = UnversionedMeta(length=self._limit, hashes={"sha256": sha256})
        raw = self._fetch(self._wire.listed_filename(ROOT, meta, consistent=True))
        if raw is None:
            return None
        root = self._wire.parse(ROOT, raw)
        return root if root.sha256 == sha256 else None

    def oldest(self) -> Envelope | None:
        """Return the oldest root to which the newest one leads back by signatures; None if the server has no root.

        A root that only names the keys of the next one's signers, and was not signed with them, is not gone back to:
        anybody can name a public key.

        Raises: MalformedMetadata, TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
        """
        raw = self._fetch(self._wire.filename(ROOT))
        if raw is None:
            return None
        root = self._wire.parse(ROOT, raw)
        for before in reversed(self.older(root)):
            if not vouches_for(before, root):
                break
            root = before
        return root

    def older(self, root: Envelope) -> Sequence[Envelope]:
        """Return the roots before this one, ascending, down to the last one that the next has followed.

        Raises: TooLarge, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
        """
        found: list[Envelope] = []
        for _ in range(MAX_ROOT_ROTATIONS):
            before = self._before(root)
            if before is None:
                break
            found.insert(0, before)
            root = before
        return found

    def _before(self, root: Envelope) -> Envelope | None:
        if root.version == 1:
            return None
        raw = self._fetch(self._wire.filename(ROOT, version=root.version - 1))
        if raw is None:
            return None
        try:
            before = self._wire.parse(ROOT, raw)
            checks.check_signatures(before.root, f"root version {before.version}", before)
            checks.check_root_step(before, root)
        except (NotTrusted, MalformedMetadata):
            return None
        return before

    @property
    def _limit(self) -> int:
        return self._wire.size_limit(ROOT)

    def _fetch(self, filename: str) -> bytes | None:
        return self._remote.fetch(self._gun, filename, limit=self._limit)


def vouches_for(before: Envelope, root: Envelope) -> bool:
    """Return whether a root was signed with all keys of its own with which the next one was signed.

    Anybody can name a public key: a stranger's root may name the owner's key beside the stranger's, so that the owner's
    next root follows it. Raises: ThresholdNotMet if the next one does not follow.
    """
    following = checks.check_signatures(before.root, f"root version {before.version}", root)
    own = checks.check_signatures(before.root, f"root version {before.version}", before)
    return set(following) <= set(own)

"""Who vouches for a stored file whose content an owner would sign again (docs/adr/0041).

An owner's signature makes every client believe the content below it. So the stored version of a role may be the input
of the next one only if

    1. keys that its delegation names now have signed it, it has not expired, and the same holds for its delegators; or
    2. these very bytes were verified earlier by this machine (rollback memory; for files that have not expired, also
       the cache); or
    3. it is signed, has expired, and the project's lock file names exactly this version as the newest (root, targets).

What a server shows of older versions proves nothing: metadata carries no time of signing, so a removed key and the
server together can make "history" at any time. There is no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import ExpiredUnknown, NotVouchedFor, TrustError
from trustdata.model import Targets
from trustdata.roles import ROOT, TARGETS
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory, OnlineKeys, SeenRole


@record
class KnownFiles:
    """What this machine and its project knew of the files of a collection before they were read.

    `memory`: rollback memory as it was before the refresh. `lock`: the entry of the lock file. `chain`: the verified
    roots, ascending.
    """

    memory: Memory | None
    lock: SourcedLock | None
    chain: Sequence[Envelope]

    def verified_before(self, file: Envelope) -> bool:
        """Return whether exactly these bytes were verified here, or are the root that the lock file names."""
        seen = self._seen(file)
        if seen is not None and seen.sha256 == file.sha256:
            return True
        return file.role == ROOT and self.lock is not None and self.lock.entry.root.digest == file.sha256

    def newest_version_is(self, file: Envelope) -> bool:
        """Return whether rollback memory has this version as the newest of the role."""
        seen = self._seen(file)
        return seen is not None and seen.version == file.version

    def locked(self, file: Envelope) -> bool:
        """Return whether the lock file has this version of targets as the newest.

        It vouches for no delegation: in TUF 1.0 it has the versions that a snapshot listed, and nobody has read these
        files.
        """
        if file.role != TARGETS or self.lock is None:
            return False
        return self.lock.entry.minimum_versions(self.chain).get(TARGETS) == file.version

    def _seen(self, file: Envelope) -> SeenRole | None:
        """Return the entry of rollback memory for the role, unless a root has replaced its online keys since."""
        seen = self.memory.roles.get(file.role) if self.memory is not None else None
        if seen is None or not seen.holds_under(file.role, OnlineKeys.of(self.chain[-1].root)):
            return None
        return seen


def find_unvouched(
    file: Envelope,
    *,
    fault: TrustError | None,
    delegator: TrustError | None,
    known: KnownFiles,
    cached: bytes | None,
    beneath: Envelope | None,
    at: datetime,
) -> TrustError | None:
    """Return the error of whoever would sign the content of a stored file again; None if somebody vouches for it.

    `fault`: why the signatures of the file do not count; None if they do. `delegator`: the error of the role that
    delegates to it, None if somebody vouches for that one. `cached`: the role's file in the cache, if any. `beneath`:
    the file whose tags clients would find if this role began empty, if there is one.
    """
    if known.verified_before(file):
        return None
    expired = file.expires <= at
    if fault is not None:
        # A file that has expired may have been cached when it was read in order to be renewed.
        if not expired and cached == file.raw and known.newest_version_is(file):
            return None
        return NotVouchedFor(
            role=file.role,
            version=file.version,
            sha256=file.sha256,
            reason=f"{fault}, and this machine has not verified these bytes before",
            tags=listed_digests(file),
            exposed=listed_digests(beneath),
        )
    if delegator is not None:
        return delegator  # the keys that have signed it may be those of somebody who was removed since
    if not expired or known.locked(file):
        return None
    return ExpiredUnknown(
        role=file.role,
        version=file.version,
        sha256=file.sha256,
        reason=f"it expired on {file.expires:%Y-%m-%d}, and this machine does not know it as the newest",
        tags=listed_digests(file),
        exposed=listed_digests(beneath),
    )


def listed_digests(file: Envelope | None) -> dict[str, str]:
    """Return the digest (`sha256:HEX`) of each tag that a file lists; none for a root, or without a file."""
    content = file.content if file is not None else None
    if not isinstance(content, Targets):
        return {}
    return {tag: f"sha256:{target.hashes.get('sha256', '')}" for tag, target in sorted(content.targets.items())}

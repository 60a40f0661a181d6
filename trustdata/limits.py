"""Limits of sizes (in bytes) and counts. For TUF 1.0: the smallest limit of the TUF clients.

The clients are python-tuf, go-tuf and tuf-js; for the snapshot it is tough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keys.record import record
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP

MAX_ROOT: Final = 512_000
MAX_TIMESTAMP: Final = 16_384
MAX_SNAPSHOT: Final = 1_048_576
MAX_TARGETS: Final = 5_000_000
MAX_ROOT_ROTATIONS: Final = 256
"""The maximum number of new roots that one update loads (python-tuf's limit)."""
MAX_DEPTH: Final = 32
"""The maximum nesting of JSON. No TUF document needs more than eight levels."""
MAX_SIGNATURES: Final = 128
"""The maximum number of signatures of a file: that many public-key operations it can cost to refuse it."""
MAX_ROLE_KEYS: Final = 128
"""The maximum number of keys of one role."""
MAX_KEYS: Final = 4096
"""The maximum number of keys in a file, each of which is decoded."""
MAX_DELEGATIONS: Final = 4096
"""The maximum number of roles that a file names. The bins of succinct roles are not named."""
MAX_PATHS: Final = 1024
"""The maximum number of paths of one delegation, because each target that is looked up is compared with each path."""
MAX_PATHS_LENGTH: Final = 65_536
"""The maximum number of characters of all paths of one delegation: a glob pattern becomes a regular expression."""
SECOND_OPINION_BELOW: Final = 512 * 1024
"""Files up to this size are also checked by python-tuf's own parser, which takes 64 ms per MB."""
SECOND_OPINION_VALUES: Final = 100_000
"""Files with more values are not, since it takes several times as much memory for each."""

MAX_NOTARY_ROOT: Final = 1024 * 1024
MAX_NOTARY_TIMESTAMP: Final = 64 * 1024
MAX_NOTARY_SNAPSHOT: Final = 2 * 1024 * 1024
MAX_NOTARY_TARGETS: Final = 12 * 1024 * 1024
"""The limits of Notary v1. Its clients read up to 1 MiB of a timestamp and 100 MiB of other files. That would let one
file take gigabytes, so these are what large collections need: 100 000 tags are 9.4 MB."""
MAX_NOTARY_UPLOAD: Final = 24 * 1024 * 1024
"""The maximum size of all files together that are sent or fetched at one time: two roles of 100 000 tags."""


@record
class FileLimits:
    """The limits of one file: `size` in bytes, `values` as `json_bounds` counts them."""

    size: int
    values: int


# One value takes at most 80 bytes of memory. A target with one hash is 12 values, in 103 bytes of TUF 1.0 and in 83 of
# Notary v1; a role in a snapshot of TUF 1.0 is 6 values, in 31 bytes.
_TUF: Final[Mapping[str, FileLimits]] = {
    ROOT: FileLimits(size=MAX_ROOT, values=50_000),
    TIMESTAMP: FileLimits(size=MAX_TIMESTAMP, values=2_000),
    SNAPSHOT: FileLimits(size=MAX_SNAPSHOT, values=220_000),
}
_TUF_TARGETS: Final = FileLimits(size=MAX_TARGETS, values=800_000)
_NOTARY: Final[Mapping[str, FileLimits]] = {
    ROOT: FileLimits(size=MAX_NOTARY_ROOT, values=50_000),
    TIMESTAMP: FileLimits(size=MAX_NOTARY_TIMESTAMP, values=2_000),
    SNAPSHOT: FileLimits(size=MAX_NOTARY_SNAPSHOT, values=220_000),
}
_NOTARY_TARGETS: Final = FileLimits(size=MAX_NOTARY_TARGETS, values=1_250_000)
MAX_VALUES: Final = _NOTARY_TARGETS.values
"""The highest number of values of any file."""
MAX_UPLOAD_VALUES: Final = 2_500_000
"""Values of all files of an upload together: two Notary v1 roles of 100 000 tags, as one `docker trust sign` sends."""
MAX_ANSWER_VALUES: Final = 100_000
"""Values of an answer that is no metadata file: of an API, a registry, a token server or a container engine."""


def tuf_limits(role: str) -> FileLimits:
    """Return the limits of a TUF 1.0 file of this role."""
    return _TUF.get(role, _TUF_TARGETS)


def notary_limits(role: str) -> FileLimits:
    """Return the limits of a Notary v1 file of this role."""
    return _NOTARY.get(role, _NOTARY_TARGETS)


def notary_size_limit(role: str) -> int:
    """Return the maximum size of a Notary v1 file of this role, in bytes."""
    return notary_limits(role).size


def size_limit(role: str) -> int:
    """Return the maximum size of a TUF 1.0 file of this role, in bytes."""
    return tuf_limits(role).size

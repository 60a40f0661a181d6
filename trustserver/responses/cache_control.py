"""What answers say to caches: the values of Cache-Control, for both formats and for errors."""

from __future__ import annotations

from typing import Final

IMMUTABLE: Final = b"public, max-age=31536000, immutable"
"""A file of TUF 1.0 with its version in its name."""
REVALIDATE: Final = b"no-cache"
"""The newest file of TUF 1.0: caches may keep it, and must ask each time."""
NOTHING: Final = b"no-store"
"""What is so now and perhaps not a moment later: errors, and whether the server is ready."""
NOTARY_CURRENT: Final = b"public, max-age=300, s-maxage=300, must-revalidate"
"""The newest file of Notary v1, as Notary's server says it."""
NOTARY_CONSISTENT: Final = b"public, max-age=2592000, s-maxage=2592000"
"""A file of Notary v1 with its hash or version in its name, as Notary's server says it."""

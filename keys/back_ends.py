"""Start programs without the back ends of securesystemslib, which imports all that are installed.

Those of tokens and of clouds take 60 to 500 ms, at each start of whoever has installed one, also to verify. Nothing
here uses its signers for them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_BACK_ENDS: Final = frozenset({"azure", "boto3", "botocore", "google", "hvac", "keylet", "pkcs11", "sigstore"})
_IMPORTER: Final = "securesystemslib."


class _WithoutBackEnds:
    """A finder that finds nothing, and that tells securesystemslib that a back end is not installed."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None. Raises: ModuleNotFoundError, if securesystemslib imports a back end."""
        del path, target
        if fullname in _BACK_ENDS:
            frame = sys._getframe(1)  # noqa: SLF001 - who imports is known by nothing else
            while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib."):
                frame = frame.f_back
            if str(frame.f_globals.get("__name__")).startswith(_IMPORTER):
                raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)
        return None


def leave_out_back_ends() -> None:
    """Let securesystemslib find no back end in this process. For programs alone: who embeds us may use them."""
    if _WithoutBackEnds not in sys.meta_path:
        sys.meta_path.insert(0, _WithoutBackEnds)

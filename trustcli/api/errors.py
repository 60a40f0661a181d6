"""The error of the Python API for what a command tells in its rows: some collections were signed, and some were not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

from keys.errors import KeysError
from trustcli.api.values import Signed
from trustcli.errors import UsageError
from trustdata.errors import TrustError

Failure: TypeAlias = TrustError | KeysError | UsageError


class NotAllSigned(TrustError):
    """At least one of several repositories was not signed.

    `signed`: the images that are signed, published just now or before. `failures`: why, by repository. `not_tried`:
    repositories that were left as they are: because another one could not be signed, and nothing was published for any,
    or because it would have failed for the same reason.
    """

    code: ClassVar[str] = "not-all-signed"
    signed: tuple[Signed, ...]
    failures: Mapping[str, Failure]
    not_tried: tuple[str, ...]

    def __str__(self) -> str:
        why = "; ".join(f"{name}: {failure}" for name, failure in self.failures.items())
        done = f"{len(self.signed)} images are signed, {len(self.failures)} repositories failed"
        return f"{done}, {len(self.not_tried)} were not tried: {why}"

    def details(self) -> dict[str, object]:
        """Return the fields of the error by name, ready for JSON."""
        return {
            "signed": [image.name for image in self.signed],
            "failures": {
                name: {"code": failure.code, "message": str(failure), "details": failure.details()}
                for name, failure in self.failures.items()
            },
            "not_tried": list(self.not_tried),
        }

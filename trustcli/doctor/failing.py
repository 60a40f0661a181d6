"""What a check raises is a finding like any other, with the error's own sentence and advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from keys.errors import KeysError
from trustcli.console.exit_codes import Failure, row_for
from trustcli.console.internal_error import internal_error
from trustcli.doctor.findings import Finding
from trustdata.errors import TrustError


def failed(check: str, error: Failure, *, place: str | None = None, remedy: str | None = None) -> Finding:
    """The finding of a failure. `remedy`: a better one than the table has."""
    advice = remedy or row_for(error).advice(error) or None
    return Finding(check=check, severity="wrong", text=str(error), remedy=advice, place=place)


def guarded(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one check, as far as it gets: one that fails never stops the others."""
    try:
        yield from look()
    except (TrustError, KeysError) as error:
        yield failed(check, error)
    except Exception as error:  # noqa: BLE001 - a doctor who faints helps nobody
        yield Finding(check=check, severity="wrong", text=internal_error(error))

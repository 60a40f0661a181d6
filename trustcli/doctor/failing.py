"""Turn an error of a check into a finding, with the error's own sentence and advice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from keys.errors import KeysError
from trustcli.console.failure_table import Failure, row_for
from trustcli.console.internal_error import internal_error
from trustcli.doctor.findings import Finding
from trustdata.errors import TrustError

_DOCTOR: Final = re.compile(r" \(trust doctor\b[^)]*\)|; trust doctor \S+ says what is wrong$")
"""Where advice sends somebody here: whoever reads a finding is here already."""


def failed(check: str, error: Failure, *, place: str | None = None, remedy: str | None = None) -> Finding:
    """Return the finding for an error. `remedy`: better advice than the table of errors has."""
    advice = remedy or _DOCTOR.sub("", row_for(error).advice(error)) or None
    return Finding(check=check, severity="wrong", text=str(error), remedy=advice, place=place)


def guarded(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Return the findings of one check; an error ends it and becomes a finding, so that the next check still runs."""
    try:
        yield from look()
    except (TrustError, KeysError) as error:
        yield failed(check, error)
    except Exception as error:  # noqa: BLE001 - an unexpected error in one check must not stop the others
        yield Finding(check=check, severity="wrong", text=internal_error(error))

"""What `trust doctor` has found: one value for every check, and the two views of a list of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from trustcli.console.exit_codes import DONE, OTHER
from trustdata.errors import shown

Severity: TypeAlias = Literal["ok", "note", "wrong"]
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check`: the stable name of what was looked at. `text`: what is so, and its effect. `place`: file and key, or
    whatever else it is about. `remedy`: what to do, where there is something to do.
    """

    check: str
    severity: Severity
    text: str
    remedy: str | None = None
    place: str | None = None


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """For people: what is wrong last, where a terminal still shows it."""
    order: tuple[Severity, ...] = ("ok", "note", "wrong")
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        yield f"{finding.severity.ljust(5)}  {finding.check}: {shown(finding.text, _LONGEST)}"
        if finding.place:
            yield f"       at: {shown(finding.place, _LONGEST)}"
        if finding.remedy:
            yield f"       do: {shown(finding.remedy, _LONGEST)}"
    wrong = sum(finding.severity == "wrong" for finding in findings)
    yield f"{wrong} of {len(findings)} findings are wrong" if wrong else "nothing is wrong"


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """The same for `--json`."""
    rows = []
    for finding in findings:
        row = asdict(finding)
        rows.append({name: shown(value, _LONGEST) if value is not None else None for name, value in row.items()})
    return {"findings": rows, "exit": status(findings)}


def status(findings: Sequence[Finding]) -> int:
    """The exit status: 0 only if nothing is wrong."""
    return OTHER if any(finding.severity == "wrong" for finding in findings) else DONE

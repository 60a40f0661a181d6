"""The result of a check, and two views of a list of results: lines for people, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from trustcli.console.exit_codes import DONE, OTHER
from trustdata.errors import shown

Severity: TypeAlias = Literal["ok", "note", "wrong"]
_LONGEST = 500  # characters of one text


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result.

    `check`: the stable name of what was checked. `text`: what was found, and its effect. `place`: the file and key, or
    whatever else it is about. `remedy`: what to do, if anything.
    """

    check: str
    severity: Severity
    text: str
    remedy: str | None = None
    place: str | None = None


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Return the lines for people; problems come last, where a terminal still shows them."""
    order: tuple[Severity, ...] = ("ok", "note", "wrong")
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        yield f"{finding.severity.ljust(5)}  {finding.check}: {shown(finding.text, _LONGEST)}"
        if finding.place:
            yield f"       at: {shown(finding.place, _LONGEST)}"
        if finding.remedy:
            yield f"       do: {shown(finding.remedy, _LONGEST)}"
    wrong = sum(finding.severity == "wrong" for finding in findings)
    yield f"{wrong} of {len(findings)} findings are wrong" if wrong else "nothing is wrong"


def findings_document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings for `--json`."""
    rows = []
    for finding in findings:
        row = asdict(finding)
        rows.append({name: shown(value, _LONGEST) if value is not None else None for name, value in row.items()})
    return {"findings": rows, "exit": findings_status(findings)}


def findings_status(findings: Sequence[Finding]) -> int:
    """Return the exit status: 0 only if nothing is wrong."""
    return OTHER if any(finding.severity == "wrong" for finding in findings) else DONE

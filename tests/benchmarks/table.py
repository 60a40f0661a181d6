"""The table that `make bench` prints."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement beside its peer. `ours` and `peer` in `unit`.

    `wanted`: the largest ratio that is good enough, or, where more is better, the smallest.
    """

    what: str
    ours: float
    peer: float
    unit: str
    wanted: float
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.peer if self.peer else float("nan")


def show(rows: list[Row], notes: list[str]) -> None:
    """Write the table to standard output."""
    width = max(len(row.what) for row in rows)
    sys.stdout.write(f"\n{'measured':{width}}  {'ours':>10}  {'peer':>10}  unit    {'ratio':>7}  wanted\n")
    for row in rows:
        good = row.ratio >= row.wanted if row.more_is_better else row.ratio <= row.wanted
        verdict = "" if good else "  MISSED"
        sign = ">=" if row.more_is_better else "<="
        figures = f"{row.ours:10.3f}  {row.peer:10.3f}  {row.unit:6}  {row.ratio:7.3f}"
        sys.stdout.write(f"{row.what:{width}}  {figures}  {sign} {row.wanted:.3f}{verdict}\n")
    for note in notes:
        sys.stdout.write(f"{note}\n")

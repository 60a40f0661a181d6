"""`trust-server access`: look at the rules on who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from trustdata.counting import counted
from trustdata.gun import GUN, parse_notary_gun
from trustserver.auth.access_file import load_rules
from trustserver.auth.authorizer import Subject
from trustserver.auth.rights import Right
from trustserver.auth.rules import AccessRules, parse_subject
from trustserver.settings import GivenSettings, load


def check_rules(path: Path) -> None:
    """Check a file of access rules, and print what is odd in it. Raises: StartRefused with what is wrong, FileNewer."""
    rules = load_rules(path)
    for warning in rules.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(f"{path} is in order: {counted(len(rules.rules), 'rule')}, {counted(len(rules.groups), 'group')}")


def explain(subject: str, name: str, given: GivenSettings, environ: Mapping[str, str], config: Path | None) -> None:
    """Print for each right whether a subject has it on a name, and which rule decides.

    Raises: InvalidName (the subject or the name), StartRefused (the rules cannot be read).
    """
    who, gun = parse_subject(subject), parse_notary_gun(name)
    settings = load(given, environ, config).settings
    rules = AccessRules() if settings.access is None else load_rules(settings.access)
    for line in _explanation(rules, who, gun):
        typer.echo(line)


def _explanation(rules: AccessRules, subject: Subject, gun: GUN) -> Iterator[str]:
    groups = rules.groups_of(subject)
    yield f"{subject} on {gun}" + (f", in {' and '.join(groups)}" if groups else "")
    for right in Right:
        decision = rules.decide(subject, right, gun)
        bound = "" if decision.roles is None else f", for changes of {' and '.join(sorted(decision.roles))} alone"
        yield f"{right:<8} {'allowed' if decision.allowed else 'refused'}  {decision.why}{bound}"

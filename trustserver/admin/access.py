"""`trust-server access`: look at the rules on who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from trustdata.counting import counted
from trustdata.gun import GUN, parse_notary_gun
from trustserver.auth.access_file import load_rules
from trustserver.auth.access_source import AccessSource
from trustserver.auth.authorizer import Subject, SubjectKind
from trustserver.auth.rights import Right
from trustserver.auth.rules import AccessRules, Rule, parse_subject
from trustserver.settings import GivenSettings, Settings, load
from trustserver.storage.access_port import CredentialKind
from trustserver.storage.opening import existing_access, has_credentials


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
    for line in _explanation(rules, who, gun, _own_rule(settings, who)):
        typer.echo(line)


def _own_rule(settings: Settings, subject: Subject) -> Rule | None:
    """Return the rights that a token or user of the database brings along, whether it counts any more or not."""
    if subject.kind not in {SubjectKind.API_TOKEN, SubjectKind.PASSWORD} or not has_credentials(settings):
        return None
    store = existing_access(settings)
    try:
        known = AccessSource(store=store).state.named.get((CredentialKind(str(subject.kind)), subject.name))
    finally:
        store.close()
    return None if known is None else known.own


def _explanation(rules: AccessRules, subject: Subject, gun: GUN, own: Rule | None) -> Iterator[str]:
    groups = rules.groups_of(subject)
    yield f"{subject} on {gun}" + (f", in {' and '.join(groups)}" if groups else "")
    for right in Right:
        decision = rules.decide(subject, right, gun, own=own)
        yield f"{right:<8} {'allowed' if decision.allowed else 'refused'}  {decision.in_words}"

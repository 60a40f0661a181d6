"""`trust-server access`: look at the rules on who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import typer

from trustdata.collection_patterns import is_pattern
from trustdata.counting import counted
from trustdata.errors import shown
from trustdata.gun import GUN, parse_notary_gun
from trustserver.auth.access_file import load_rules
from trustserver.auth.access_source import AccessSource, KnownCredential
from trustserver.auth.authorizer import Subject, SubjectKind
from trustserver.auth.callers import STORED, ended_words
from trustserver.auth.rights import EVERY_RIGHT, Right
from trustserver.auth.rules import AccessRules, Rule, parse_subject
from trustserver.settings import GivenSettings, Settings, load
from trustserver.storage.opening import existing_access, has_credentials


def check_rules(path: Path) -> None:
    """Check a file of access rules, and print what is odd in it. Raises: StartRefused with what is wrong, FileNewer."""
    rules = load_rules(path)
    for warning in rules.warnings:
        typer.echo(f"warning: {warning}")
    if rule := rules.somebody_anonymous_may(EVERY_RIGHT - {Right.PULL}):
        typer.echo(f"warning: {rule} lets anonymous clients do more than read: no server beyond loopback takes it")
    typer.echo(f"{path} is in order: {counted(len(rules.rules), 'rule')}, {counted(len(rules.groups), 'group')}")


def explain(
    subject: str, name: str, given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime
) -> None:
    """Print for each right whether a subject has it on a name, and which rule decides.

    Raises: InvalidName (the subject or the name), StartRefused (the rules cannot be read).
    """
    who, gun = parse_subject(subject), parse_notary_gun(name)
    settings = load(given, environ, config).settings
    rules = AccessRules() if settings.access is None else load_rules(settings.access)
    known = _known_credential(settings, who)
    for line in _explanation(rules, who, gun, None if known is None else known.own):
        typer.echo(line)
    for notice in _notices(settings, rules, who, gun, known, at=at):
        typer.echo(f"warning: {notice}", err=True)


def _known_credential(settings: Settings, subject: Subject) -> KnownCredential | None:
    """Return the token or user of the database, whether it counts any more or not; None if there is none."""
    if subject.kind not in STORED or not has_credentials(settings):
        return None
    store = existing_access(settings)
    try:
        return AccessSource(store=store).state.named.get((STORED[subject.kind], subject.name))
    finally:
        store.close()


def _notices(
    settings: Settings, rules: AccessRules, who: Subject, gun: GUN, known: KnownCredential | None, *, at: datetime
) -> Iterator[str]:
    """Yield what makes the answer another one than a server's: nobody is the subject, or other rules count there."""
    if who.kind in STORED and known is None and has_credentials(settings):
        yield f"there is no {who}, so nobody has these rights (trust-server access {who.kind} list)"
    elif known is not None and (ended := ended_words(known, at)):
        yield f"{who} {ended}, so nobody has these rights"
    elif who.kind is SubjectKind.WORKLOAD and who.name not in rules.workloads.workloads:
        yield f"no [[workload]] of the rules is {who}, so nobody has these rights"
    elif who.kind is SubjectKind.CERTIFICATE and who.name not in rules.certificates.named:
        yield f"no [[certificate]] of the rules is {who}, so nobody has these rights"
    if settings.access is None:
        yield "no rules were looked at: a server that has some needs --access FILE here, too"
    if not is_pattern(gun):
        yield f"{shown(gun)} is not in normal form: rules for * alone allow something there, and each deny is about it"


def _explanation(rules: AccessRules, subject: Subject, gun: GUN, own: Rule | None) -> Iterator[str]:
    groups = rules.groups_of(subject)
    yield f"{subject} on {gun}" + (f", in {' and '.join(groups)}" if groups else "")
    for right in Right:
        decision = rules.decide(subject, right, gun, own=own)
        yield f"{right:<8} {'allowed' if decision.allowed else 'refused'}  {decision.in_words}"

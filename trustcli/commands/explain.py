"""`trust explain`: the verdict of `trust verify` with all its reasons; the exit status is that of `trust verify`.

With --at it is the verdict of another time, by the trust data of now: what breaks on that day if nobody acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from keys.rfc3339 import to_rfc3339
from trustcli.client.collection import Collection
from trustcli.client.policy_file import load_policy
from trustcli.client.updater import Updater
from trustcli.commands.support.durations import offline_bound, time_option
from trustcli.commands.support.explanation_view import explanation_document, explanation_lines
from trustcli.commands.support.judging import verify
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.name_lists import image_names
from trustcli.commands.support.simulated_time import SimulatedTime
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import NotTrusted, TrustError
from trustdata.explaining import VerificationState, explain
from trustdata.explanation import Explanation, PolicyReport, RegistryAnswer, ServerUsed
from trustdata.gun import GUN, parse_tag
from trustdata.judgement import Judgement, Question, refused
from trustdata.policy import Policy
from trustdata.roles import TARGETS, RoleName
from trustdata.verification.delegations import delegations_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("explain")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE[:TAG|@DIGEST|:TAG@DIGEST]...")] = None,
    images_file: ImagesFile = None,
    signer: Annotated[list[str] | None, typer.Option("--signer", metavar="NAME", help="As for verify.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="As for verify.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="As for verify; the registry is not asked either.")
    ] = False,
    max_age: Annotated[str | None, typer.Option("--max-age", metavar="TIME", help="As for verify.")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="DATE", help="Judge as if it were this time: 2027-12-01, 2027-12-01T12:00:00Z, +90d."
        ),
    ] = None,
) -> int:
    """Say why images are trusted or refused: every step, what it rests on, and what would change the answer."""
    session: Session = ctx.obj
    terms = _Terms(
        signers=tuple(signer or ()),
        policy=load_policy(policy) if policy else None,
        max_age=offline_bound(max_age, offline=offline),
        at=None if at is None else time_option(at, now=session.at),
    )
    names = image_names(images or (), images_file)
    statuses: list[int] = []
    rows: list[dict[str, object]] = []
    for image in names:
        if rows:
            session.output.result("")
        status, row = _report(session, image, _explanation(session, image, terms))
        statuses.append(status)
        rows.append(row)
    status = worst(statuses)
    # The document of one image is what it always was.
    only = {"explanation": rows[0]} if len(rows) == 1 else {}
    session.output.document({**only, "explanations": rows, "exit": status})
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """How images are judged, as by `verify`. `max_age`: None if the server is asked."""

    signers: tuple[str, ...]
    policy: Policy | None
    max_age: timedelta | None
    at: datetime | None


def _explanation(session: Session, image: str, terms: _Terms) -> Explanation:
    """Return the explanation of one image: of now, or of the time that is simulated."""
    if terms.at is None:
        return _explained_now(session, image, terms, None)
    simulated = SimulatedTime(session, terms.at, offline=terms.max_age is not None)
    found = _explained_now(simulated.session, image, terms, simulated)
    return replace(found, at=terms.at, simulation=simulated.report())


def _explained_now(session: Session, image: str, terms: _Terms, simulated: SimulatedTime | None) -> Explanation:
    collections: list[Collection] = []
    (decision,) = verify(
        session,
        [image],
        signers=terms.signers,
        policy=terms.policy,
        max_age=terms.max_age,
        watch=collections.append if simulated is None else simulated.watching(collections),
        forecast=None if simulated is None else simulated.reader,
        at=terms.at,
    )
    # What the registry has now says nothing about another time.
    offline = terms.max_age is not None
    silent = offline or simulated is not None
    judgement = decision.judgement or _unread(decision)
    real_name = _real_name(session, judgement.question.gun, by_policy=not decision.rule)
    read = [collection for collection in collections if collection.gun == real_name]
    found = explained(
        judgement,
        updater=read[-1].last_updater if read else None,
        session=session,
        offline=offline,
        by_policy=not decision.rule,
        ask_registry=None if silent else lambda: _ask_registry(session, image, judgement.question),
        at=terms.at,
    )
    if not decision.rule and decision.trust_name == judgement.question.gun:
        return found
    return replace(
        found,
        name=str(parse_reference(image).gun),
        trusted=decision.allowed,
        digest=decision.digest,
        refusal=decision.refusal,
        policy=PolicyReport(
            rule=decision.rule,
            mode=decision.mode,
            exemption=decision.exemption,
            verified=decision.verified,
            trust_name=str(decision.trust_name),
            warnings=decision.warnings,
        ),
    )


def _unread(decision: Decision) -> Judgement:
    """Return a verdict for the explanation of an image about which nothing was read."""
    return refused(Question(gun=GUN(""), tag=None, digest=None), decision.refusal or NotTrusted())


def explained(
    judgement: Judgement,
    *,
    updater: Updater | None,
    session: Session,
    offline: bool = False,
    by_policy: bool = True,
    ask_registry: Callable[[], RegistryAnswer | None] | None = None,
    at: datetime | None = None,
) -> Explanation:
    """Return the reasons of a verdict that `verify` gave. What is read here in addition cannot change the verdict.

    `by_policy`: the aliases of the machine's policy count, since no rule of a policy was asked. `at`: the time that is
    simulated.
    """
    real_name = _real_name(session, judgement.question.gun, by_policy=by_policy)
    return explain(
        judgement,
        state=None if updater is None else verification_state(updater),
        at=at or session.at,
        offline=offline,
        server=_server(session, real_name),
        registry=ask_registry() if ask_registry is not None else None,
        real_name=real_name,
        unanswered=isinstance(judgement.refusal, RemoteUnreachable | RemoteRefused | RemoteMisbehaved),
    )


def verification_state(updater: Updater) -> VerificationState:
    """Return how far a refresh got, and load the signers' roles that the verdict did not need, as far as possible."""
    unreadable: dict[RoleName, TrustError] = {}
    trusted = updater.progress
    if updater.complete and trusted is not None:
        try:
            published = updater.listed()
            signers = delegations_of(trusted.targets.targets)
        except TrustError:
            published, signers = frozenset(), ()
        for role in signers:
            if role in published and role not in trusted.delegated:
                try:
                    updater.load(role, TARGETS)
                except TrustError as error:
                    unreadable[role] = error
    return VerificationState(
        trusted=trusted,
        pins=updater.counted_pins(),
        memory=updater.memory,
        lock=updater.lock,
        unreadable=unreadable,
        lapse=updater.lapse,
    )


def _real_name(session: Session, gun: GUN, *, by_policy: bool) -> GUN:
    try:
        return session.names.named(gun, by_policy=by_policy).real
    except TrustError:
        return gun  # the verdict says why the pins cannot be read


def _server(session: Session, gun: GUN) -> ServerUsed | None:
    if not gun:
        return None
    try:
        choice = session.settings.server_choice(gun)
    except TrustError:
        return None
    return ServerUsed(url=choice.url, source=choice.source)


def _ask_registry(session: Session, image: str, question: Question) -> RegistryAnswer | None:
    """Return what the registry has under the tag now; None if no tag was asked about."""
    if not question.gun or question.tag is None:
        return None
    reference = parse_reference(image)
    try:
        manifest = session.registry().resolve(replace(reference, tag=parse_tag(question.tag), digest=None))
    except TrustError as error:
        return RegistryAnswer(registry=reference.registry_host, reason=str(error))
    return RegistryAnswer(registry=reference.registry_host, digest=manifest.digest)


def _report(session: Session, image: str, explanation: Explanation) -> tuple[int, dict[str, object]]:
    """Print an explanation, and return the status of its verdict and its row."""
    for line in explanation_lines(explanation):
        session.output.result(line)
    if explanation.simulation is not None:
        session.output.warn(f"{image}: this is a simulation of {to_rfc3339(explanation.at)}, and no verdict of now")
    registry = explanation.registry
    if registry is not None and registry.diverges:
        session.output.warn(
            f"{image}: {registry.registry} serves {registry.digest} under this tag, which is not what is signed"
        )
    refusal = None if explanation.trusted else explanation.refusal
    status = DONE if refusal is None else row_for(refusal).status
    row: dict[str, object] = {"image": image, **explanation_document(explanation)}
    if refusal is not None:
        refusal.about = refusal.about or explanation.real_name
        session.output.failure(refusal, subject=image)
        row["error"] = failure_document(refusal)
    return status, row

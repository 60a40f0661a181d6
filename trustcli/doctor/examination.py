"""Run all checks, one after another; a failing check does not stop the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from keys.record import replace
from trustcli.config.settings import ServerChoice
from trustcli.doctor.agent import check_agent
from trustcli.doctor.collection import check_briefly, check_collection, check_name, check_unanswered
from trustcli.doctor.expiry import check_expiry
from trustcli.doctor.failing import failed, guarded
from trustcli.doctor.findings import Finding
from trustcli.doctor.key_store import check_key_store
from trustcli.doctor.lock_file import check_lock_file
from trustcli.doctor.look import Look, look_at
from trustcli.doctor.memory import check_memory
from trustcli.doctor.pins import check_pins
from trustcli.doctor.registry import USUAL_TAG, check_registry
from trustcli.doctor.trust_server import check_trust_server
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.gun import GUN


def examine(session: Session, reference: ImageReference | None) -> list[Finding]:
    """Return all findings about one name; without a name, about this machine and briefly about every pinned name."""
    quiet = _without_tofu(session)
    return list(_of_one(quiet, reference) if reference is not None else _of_all(quiet))


def _without_tofu(session: Session) -> Session:
    """Return the same session without trust on first use: a check must not pin anything."""
    return Session(
        settings=replace(session.settings, tofu=False), environ=session.environ, output=session.output, at=session.at
    )


def _of_one(session: Session, reference: ImageReference) -> Iterator[Finding]:
    gun = reference.gun
    yield from _local(session, gun)
    look = look_at(session, gun)
    try:
        choice = session.settings.server_choice(_real_name(session, gun))
    except TrustError as error:
        yield failed("trust-server", error)
    else:
        verified = look.refusal is None
        yield from guarded("trust-server", lambda: check_trust_server(session, choice, verified=verified))
    yield from guarded("registry", lambda: check_registry(session, reference, look.signed_tag or USUAL_TAG))
    yield from guarded("collection", lambda: check_collection(look))
    yield from guarded("expiry", lambda: check_expiry(look, session.at))
    yield from guarded("keys", lambda: check_key_store(session, look))


def _of_all(session: Session) -> Iterator[Finding]:
    yield from _local(session, None)
    yield from guarded("keys", lambda: check_key_store(session, None))
    try:
        pinned = list(session.pins.load())
    except TrustError:
        pinned = []  # check_pins has reported it
    serving: set[str] = set()
    unanswered: dict[str, list[Look]] = {}
    collections = [
        finding
        for gun in pinned
        for finding in guarded("collection", lambda gun=gun: _shortly(session, gun, serving, unanswered))  # type: ignore[misc]
    ]
    for choice in _servers(session, pinned):
        verified = choice.url in serving
        yield from guarded(
            "trust-server",
            lambda choice=choice, verified=verified: check_trust_server(session, choice, verified=verified),  # type: ignore[misc]
        )
    yield from collections
    for looks in unanswered.values():
        yield check_unanswered(looks)


def _local(session: Session, gun: GUN | None) -> Iterator[Finding]:
    yield from guarded("pins", lambda: check_pins(session, gun))
    real = _real_name(session, gun) if gun is not None else None
    yield from guarded("memory", lambda: check_memory(session, real))
    yield from guarded("lock", lambda: check_lock_file(session, real))
    yield from guarded(
        "agent", lambda: check_agent(session, policy=None, with_allow_list=False, who="trust verify without --policy")
    )


def _shortly(session: Session, gun: GUN, serving: set[str], unanswered: dict[str, list[Look]]) -> Iterator[Finding]:
    """Return the findings about one of many collections; add the server that it was verified with to `serving`.

    One of which the server gives nothing is added to `unanswered`, by the reason, which is that of others, too.
    """
    look = look_at(session, gun)
    if isinstance(look.refusal, RemoteUnreachable | RemoteRefused | RemoteMisbehaved):
        unanswered.setdefault(str(look.refusal), []).append(look)
        return
    if look.refusal is None:
        serving.add(session.settings.server_for(_real_name(session, gun)))
    yield check_briefly(look)
    yield from check_name(look)
    for finding in check_expiry(look, session.at):
        if finding.severity != "ok":
            yield dataclasses.replace(finding, place=str(look.gun))


def _servers(session: Session, pinned: list[GUN]) -> list[ServerChoice]:
    """Return every trust server that this machine knows, each once."""
    settings = session.settings
    choices = [ServerChoice(url=settings.server, source=settings.server_source)] if settings.server else []
    choices += [ServerChoice(url=url, source=f'"{name}" in {settings.file}') for name, url in settings.servers.items()]
    for gun in pinned:
        try:
            choices.append(settings.server_choice(_real_name(session, gun)))
        except TrustError as error:
            del error  # the check of this collection reports it
    return list({choice.url: choice for choice in reversed(choices)}.values())[::-1]


def _real_name(session: Session, gun: GUN) -> GUN:
    try:
        return session.real_name(gun)
    except TrustError:
        return gun  # the pins cannot be read: check_pins has reported it

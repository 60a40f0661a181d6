"""Check a whole collection: does it verify here and for other clients, and can its owners still change it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding
from trustcli.doctor.look import Look
from trustdata.counting import counted
from trustdata.errors import (
    ThresholdNotMet,
    TrustError,
    VersionRollback,
    shown,
)
from trustdata.inspection import tags_with_two_digests
from trustdata.roles import RELEASES, ROOT, TARGETS, signer_name
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import check_release_conflicts, unusable_targets

_CHECK = "collection"
_TAGS_SHOWN = 10
_NAMES_SHOWN = 10


def check_collection(look: Look) -> Iterator[Finding]:
    """Return the findings about the collection. Raises: ReleaseConflict, MalformedMetadata."""
    if look.refusal is not None:
        yield _refused(look, look.refusal)
        return
    versions = ", ".join(f"{shown(role)} {envelope.version}" for role, envelope in look.roles.items())
    yield Finding(check=_CHECK, severity="ok", text=f"{look.gun} verifies: {versions}")
    check_release_conflicts(look.roles)
    yield from _delegations(look)
    yield from _releases(look)
    yield from _two_digests(look)
    yield from _unusable(look)
    yield from _root(look)
    yield from check_name(look)


def check_briefly(look: Look) -> Finding:
    """Return one finding, for a name in a list of many."""
    if look.refusal is not None:
        return _refused(look, look.refusal)
    if look.unreadable:
        role, error = next(iter(look.unreadable.items()))
        return failed(_CHECK, error, place=f"{look.gun}, {shown(role)}")
    return Finding(check=_CHECK, severity="ok", text=f"{look.gun} verifies", place=str(look.gun))


def check_unanswered(looks: Sequence[Look]) -> Finding:
    """Return one finding for all collections of which a server gives nothing, for one reason. `looks`: one at least."""
    first = looks[0]
    if first.refusal is None or len(looks) == 1:
        return check_briefly(first)
    names = ", ".join(str(look.gun) for look in looks[:_NAMES_SHOWN])
    more = f" and {len(looks) - _NAMES_SHOWN} more" if len(looks) > _NAMES_SHOWN else ""
    return replace(
        failed(_CHECK, first.refusal), text=f"{len(looks)} collections: {first.refusal}", place=f"{names}{more}"
    )


def check_name(look: Look) -> Iterator[Finding]:
    """Return a finding if the root does not say whose it is, with a remedy that gives the collection such a root.

    In TUF 1.0 it has no `x-content-trust-gun`; in Notary v1 it has a wildcard certificate.
    """
    if look.refusal is None and not look.named:
        yield Finding(
            check="name",
            severity="note",
            text=f"the root does not name {look.gun} alone: a server could show another collection of its owner in its "
            "place, and a pin by key alone is not enough",
            remedy=f"its owner: trust key rotate root {look.gun}; until then pin it by a fingerprint",
            place=str(look.gun),
        )


def _refused(look: Look, refusal: TrustError) -> Finding:
    check = "memory" if isinstance(refusal, VersionRollback) else _CHECK
    return failed(check, refusal, place=str(look.gun))


def _delegations(look: Look) -> Iterator[Finding]:
    for role, error in look.unreadable.items():
        remedy = f"where its keys are: trust renew {look.gun} --plan, which names the ways out"
        unsigned = isinstance(error, ThresholdNotMet)
        yield failed("delegation", error, place=shown(role), remedy=remedy if unsigned else None)
    for role in look.unpublished:
        name = shown(signer_name(role))
        if role == RELEASES:
            text = "targets/releases is delegated and was never published: no tag is released"
            yield Finding(check="delegation", severity="wrong", text=text, remedy=f"trust sign {look.gun}:TAG")
            continue
        yield Finding(
            check="delegation",
            severity="note",
            text=f"{name} has signed nothing yet: TUF clients that load every delegation at the start "
            f"(such as tough, in Rust) cannot read {look.gun} until then",
            remedy=f"let {name} sign a tag; or trust signer remove {name} {look.gun}",
            place=shown(role),
        )


def _releases(look: Look) -> Iterator[Finding]:
    root, targets = look.roles[ROOT].root, look.roles[TARGETS].targets
    if RELEASES not in delegations_of(targets):
        return
    repository = set(root.roles[TARGETS].keyids)
    if repository & set(targets.get_delegated_role(RELEASES).keyids):
        text = "the repository key is one of the keys of targets/releases"
        yield Finding(check="releases", severity="ok", text=text)
        return
    yield Finding(
        check="releases",
        severity="wrong",
        text="the repository key is not one of the keys of targets/releases: if the last signer leaves, nobody can "
        "release tags",
        remedy=f"trust key rotate targets {look.gun}, which puts it there",
    )


def _two_digests(look: Look) -> Iterator[Finding]:
    found = tags_with_two_digests(look.roles) if RELEASES in look.roles else ()
    for tag in found[:_TAGS_SHOWN]:
        yield Finding(
            check="two-digests",
            severity="wrong",
            text=f"{tag.tag} is released as sha256:{tag.released}, and targets lists it as sha256:{tag.in_targets}: "
            "a client that is shown no targets/releases would accept the latter",
            remedy=f"where the repository key is: trust sign {look.gun}:{tag.tag}@sha256:{tag.released}",
        )
    if len(found) > _TAGS_SHOWN:
        more = counted(len(found) - _TAGS_SHOWN, "more tag has", plural="more tags have")
        text = f"{more} two digests; trust inspect --json {look.gun} names all"
        yield Finding(check="two-digests", severity="wrong", text=text)


def _unusable(look: Look) -> Iterator[Finding]:
    found = unusable_targets(look.roles)
    for error in found[:_TAGS_SHOWN]:
        name = shown(error.target)
        yield Finding(
            check="unusable",
            severity="note",
            text=f"{name} cannot be used: {error}",
            remedy=f"where its key is: trust sign {look.gun}:{name}, or trust revoke {look.gun}:{name}",
            place=shown(error.role),
        )
    if len(found) > _TAGS_SHOWN:
        yield Finding(
            check="unusable", severity="note", text=f"{counted(len(found) - _TAGS_SHOWN, 'more tag')} cannot be used"
        )


def _root(look: Look) -> Iterator[Finding]:
    root_role = look.roles[ROOT].root.roles[ROOT]
    spare = len(root_role.keyids) - root_role.threshold
    if spare > 0:
        text = (
            f"root needs {root_role.threshold} of {len(root_role.keyids)} keys: the collection survives the loss of one"
        )
        yield Finding(check="recovery", severity="ok", text=text)
        return
    yield Finding(
        check="recovery",
        severity="note",
        text=f"root needs {_all_of(len(root_role.keyids))} lost, nobody can change {look.gun} any more",
        remedy="keep a copy of each root key elsewhere (trust key backup); of one in a token, by its own tools",
    )


def _all_of(keys: int) -> str:
    return f"all of its {keys} keys: if one is" if keys > 1 else "its only key: if it is"

"""A plan for people and as JSON: the same values in two views.

    plan for registry.example.com/team/app (nothing is written or sent)
      changes
        root 3 -> 4, expires 2028-11-22 -> 2029-01-02
          + key of root: new root key, made in the key store when this is done
          - key of root: 0123456789ab, here: root key
            1 of 2 keys must sign root
        snapshot 7 -> 8, timestamp 9 -> 10: issued by the server
      signatures
        root 4, for root version 3: 1 of
          * 0123456789ab, here: root key
            cdef01234567, not here; it is a key of: root
      clients
        a client that knows what is there now (root 3) reaches root 4 and sees 2 tags

Keys with a `*` are those that sign. A key that is made only when the plan is carried out has no id yet: `keyid` is
null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from keys.keyid import short_keyid
from keys.rfc3339 import to_rfc3339
from trustcli.console.output import failure_document
from trustcli.publish.change_view import cut, delegation_line, denied_line, tag_line, unseen_lines, unseen_title
from trustcli.publish.plan import ClientUpdate, KeyPlace, Plan, ReleasedChange, SignatureNeed, SignedAgain
from trustdata.counting import counted
from trustdata.editing.difference import DelegationChange, DeniedChange, KeysChange, RoleChange, TagChange
from trustdata.editing.unseen import Unseen
from trustdata.errors import shown
from trustdata.roles import TARGETS

_BEHIND: Final = {
    "one": "that knows what is there now",
    "ten": "ten roots behind",
    "all": "that knows the first root alone",
}
_MADE: Final = {
    "store": "made in the key store",
    "recovery-file": "made as the recovery file",
    "server": "made by the server",
}
_WHERE: Final = {
    "key-file": "in the key file that is named",
    "recovery-file": "in the recovery file {}",
    "key-uri": "at {}",
    "server": "on the server",
}
"""Where a key is that is not in the store; `{}`: the name of the place."""


# --- for people


def lines(plan: Plan) -> Iterator[str]:
    """Return the lines for people about one plan; the caller prints its refusal as an error."""
    yield f"plan for {plan.gun} (nothing is written or sent)"
    if plan.note:
        yield f"  {plan.note}"
    if plan.difference.roles:
        yield "  changes"
        yield from (f"    {line}" for line in _changes(plan))
        yield from _again(plan.signed_again)
        yield "  signatures"
        yield from (f"    {line}" for need in plan.needs for line in _need(need, plan))
    for left in plan.left:
        yield f"  left as it is: {left}"
    if plan.clients:
        yield "  clients"
        yield from (f"    {_client_line(client)}" for client in _different(plan.clients))
        yield from (f"    {line}" for line in cut([_pin_line(keyid) for keyid in plan.refused_pins]))
        yield from (f"    {line}" for line in cut([_authority_line(name) for name in plan.refused_authorities]))
        yield from (f"    {line}" for line in cut([_released(change) for change in plan.released]))


def summary(plans: Sequence[Plan]) -> Iterator[str]:
    """Return one line about several plans; none about a single plan."""
    if len(plans) > 1:
        wrong = sum(plan.refusal is not None for plan in plans)
        done = sum(plan.refusal is None and not plan.difference.roles for plan in plans)
        yield (
            f"{len(plans)} plans: {len(plans) - wrong - done} can be carried out, {wrong} cannot"
            + (f", {done} change nothing" if done else "")
        )


def _changes(plan: Plan) -> Iterator[str]:
    for role in plan.difference.roles:
        yield f"{shown(role.role)} {_versions(role)}, expires {_dates(role)}"
        if role.named is not None and role.version_before is not None:
            yield f"  + names {shown(role.named)} from now on"
        yield from (
            f"  {line}" for keys in plan.difference.keys if keys.delegator == role.role for line in _keys(keys, plan)
        )
        yield from (
            f"  {delegation_line(change)}" for change in plan.difference.delegations if change.delegator == role.role
        )
        tags = [tag_line(change) for change in plan.difference.tags if change.role == role.role]
        yield from (f"  {line}" for line in cut(tags))
        if role.role == TARGETS:
            yield from (f"  {line}" for line in cut([denied_line(change) for change in plan.difference.denied]))
    if plan.issued:
        yield f"{', '.join(f'{role.role} {_versions(role)}' for role in plan.issued)}: issued by the server"


def _again(found: Sequence[SignedAgain]) -> Iterator[str]:
    """Yield what is signed again as it stands: what was not verified here before, and all tags."""
    told = [again for again in found if again.tags or again.unseen is not None]
    if told:
        yield "  signed again as it stands"
    for again in told:
        yield f"    {shown(again.role)} {again.version}: {counted(len(again.tags), 'tag')}"
        if again.unseen is not None:
            yield f"      not verified here before: in {unseen_title(again.unseen)}"
            yield from (f"        {line}" for line in cut(unseen_lines(again.unseen)))
        yield from (f"      {line}" for line in cut([f"{shown(tag)}: sha256:{shown(d)}" for tag, d in again.tags]))


def _versions(role: RoleChange) -> str:
    return f"{role.version_before or 'none'} -> {role.version_after}"


def _dates(role: RoleChange) -> str:
    after = f"{role.expires_after:%Y-%m-%d}"
    return after if role.expires_before is None else f"{role.expires_before:%Y-%m-%d} -> {after}"


def _keys(change: KeysChange, plan: Plan) -> Iterator[str]:
    name = shown(change.role)
    yield from (f"+ key of {name}: {key_words(plan.places[keyid])}" for keyid in change.added)
    yield from (f"- key of {name}: {key_words(plan.places[keyid])}" for keyid in change.removed)
    if change.threshold_after is not None:
        yield f"  {change.threshold_after} of {counted(len(change.added) + len(change.kept), 'key')} must sign {name}"


def _need(need: SignatureNeed, plan: Plan) -> Iterator[str]:
    state = "" if need.met(plan.places) else " - not to be had from here"
    yield f"{shown(need.role)} {need.version}, for {shown(need.asked_by)}: {need.threshold} of{state}"
    for keyid in need.keys:
        yield f"  {'*' if keyid in need.signs else ' '} {key_words(plan.places[keyid])}"


def key_words(place: KeyPlace) -> str:
    """Return one key for people: its id and where it is."""
    short = f"{short_keyid(place.keyid)}, "
    if place.new:
        return f"{shown(place.name)}, {_MADE[place.place]} when this is done"
    if place.place in _WHERE:
        name = place.name if place.place == "key-uri" else shown(place.name)  # a URI is ASCII, and is copied whole
        return short + _WHERE[place.place].format(name)
    if place.place == "store":
        return f"{short}here: {shown(place.name)}" if place.name else f"{short}here"
    who = ", ".join(map(shown, place.holders)) or "nobody that the collection names"
    return f"{short}not here; it is a key of: {who}"


def _different(clients: Sequence[ClientUpdate]) -> Iterator[ClientUpdate]:
    """Return the clients without "ten roots behind" where that is the same as "knows the first root alone"."""
    for client in clients:
        if client.behind != "ten" or client.root_from != clients[-1].root_from:
            yield client


def _client_line(client: ClientUpdate) -> str:
    who = f"a client {_BEHIND[client.behind]} (root {client.root_from})"
    if client.refusal is not None:
        return f"{who} is stuck: {client.refusal}"
    tags = "but finds no release that it can use" if client.tags is None else f"and sees {counted(client.tags, 'tag')}"
    return f"{who} reaches root {client.root_to} {tags}"


def _pin_line(keyid: str) -> str:
    return (
        f"a client that has no root yet and pins the certificate {shown(keyid)} alone (trust_pinning of notary) is "
        "refused from then on: its owner must pin the new one"
    )


def _authority_line(name: str) -> str:
    return (
        f"a client that pins the CA {shown(name)} refuses the collection from then on: it has certified no key that "
        "signs the next root"
    )


def _released(change: ReleasedChange) -> str:
    name = shown(change.tag)
    if change.before is None or change.after is None:
        verb = "is released" if change.before is None else "is released no more"
        return f"{name} {verb}: sha256:{shown(change.after or change.before or '')}"
    if change.before != change.after:
        return f"{name} moves: sha256:{shown(change.before)} -> sha256:{shown(change.after)}"
    return f"{name} is vouched for by {_names(change.signers_before)} -> {_names(change.signers_after)}"


def _names(signers: Iterable[str]) -> str:
    return ", ".join(map(shown, signers)) or "the repository key alone"


# --- for programs


def row(plan: Plan) -> dict[str, object]:
    """Return one plan for JSON. Digests are `sha256:HEX` or null, times are RFC 3339 in UTC or null."""
    return {
        "gun": plan.gun,
        "note": plan.note,
        "roles": [
            *(_role_row(role, issued_by="publisher") for role in plan.difference.roles),
            *(_role_row(role, issued_by="server") for role in plan.issued),
        ],
        "tags": [_tag_row(change) for change in plan.difference.tags],
        "keys": [_keys_row(change, plan) for change in plan.difference.keys],
        "delegations": [_delegation_row(change) for change in plan.difference.delegations],
        "denied": [_denied_row(change) for change in plan.difference.denied],
        "signed_again": [_again_row(again) for again in plan.signed_again],
        "signatures": [_need_row(need, plan) for need in plan.needs],
        "left": [failure_document(left) for left in plan.left],
        "released": [
            {
                "tag": change.tag,
                "before": _digest(change.before),
                "after": _digest(change.after),
                "signers_before": list(change.signers_before),
                "signers_after": list(change.signers_after),
            }
            for change in plan.released
        ],
        "clients": [
            {
                "behind": client.behind,
                "root_from": client.root_from,
                "root_to": client.root_to,
                "follows": client.refusal is None,
                "versions": dict(client.versions),
                "tags": client.tags,
                "error": failure_document(client.refusal) if client.refusal is not None else None,
            }
            for client in plan.clients
        ],
        "refused_pins": list(plan.refused_pins),
        "refused_authorities": list(plan.refused_authorities),
        "proposed_denials": [_digest(digest) for digest in plan.proposed_denials],
    }


def _tag_row(change: TagChange) -> dict[str, object]:
    return {
        "role": change.role,
        "tag": change.tag,
        "change": change.kind,
        "before": _digest(change.before),
        "after": _digest(change.after),
    }


def _delegation_row(change: DelegationChange) -> dict[str, object]:
    return {
        "role": change.role,
        "delegator": change.delegator,
        "change": change.kind,
        "paths_before": list(change.paths_before),
        "paths_after": list(change.paths_after),
        "terminating_before": change.terminating_before,
        "terminating_after": change.terminating_after,
    }


def _denied_row(change: DeniedChange) -> dict[str, object]:
    return {"digest": change.digest, "change": change.kind, "before": change.before, "after": change.after}


def _again_row(again: SignedAgain) -> dict[str, object]:
    """Return what is signed again of one role, for JSON. `unseen`: null where all of it was verified here before."""
    return {
        "role": again.role,
        "version": again.version,
        "file": f"{again.role}@sha256:{again.sha256}",
        "tags": [{"tag": tag, "digest": _digest(digest)} for tag, digest in again.tags],
        "unseen": None if again.unseen is None else _unseen_row(again.unseen),
    }


def _unseen_row(unseen: Unseen) -> dict[str, object]:
    found = unseen.difference
    return {
        "verified_version": unseen.before,
        "tags": [_tag_row(change) for change in found.tags],
        "keys": [
            {
                "role": change.role,
                "delegator": change.delegator,
                "added": list(change.added),
                "removed": list(change.removed),
                "threshold_before": change.threshold_before,
                "threshold_after": change.threshold_after,
            }
            for change in found.keys
        ],
        "delegations": [_delegation_row(change) for change in found.delegations],
        "denied": [_denied_row(change) for change in found.denied],
        "named": next((role.named for role in found.roles), None),
        "others": unseen.others,
    }


def _role_row(role: RoleChange, *, issued_by: str) -> dict[str, object]:
    """Return one role for JSON; without the new expiry if the server signs the role, since the server chooses it."""
    return {
        "role": role.role,
        "version_before": role.version_before,
        "version_after": role.version_after,
        "expires_before": as_time(role.expires_before),
        "expires_after": as_time(role.expires_after) if issued_by == "publisher" else None,
        "issued_by": issued_by,
        "named": role.named,
    }


def _keys_row(change: KeysChange, plan: Plan) -> dict[str, object]:
    return {
        "role": change.role,
        "delegator": change.delegator,
        "added": [key_row(plan.places[keyid]) for keyid in change.added],
        "removed": [key_row(plan.places[keyid]) for keyid in change.removed],
        "kept": [key_row(plan.places[keyid]) for keyid in change.kept],
        "threshold_before": change.threshold_before,
        "threshold_after": change.threshold_after,
    }


def _need_row(need: SignatureNeed, plan: Plan) -> dict[str, object]:
    return {
        "role": need.role,
        "version": need.version,
        "asked_by": need.asked_by,
        "threshold": need.threshold,
        "met": need.met(plan.places),
        "keys": [{**key_row(plan.places[keyid]), "signs": keyid in need.signs} for keyid in need.keys],
    }


def key_row(place: KeyPlace) -> dict[str, object]:
    """Return one key for JSON."""
    return {
        "keyid": None if place.new else place.keyid,
        "place": place.place,
        "name": place.name,
        "new": place.new,
        "holders": list(place.holders),
    }


def _digest(digest: str | None) -> str | None:
    return None if digest is None else f"sha256:{digest}"


def as_time(at: datetime | None) -> str | None:
    """Return the time in RFC 3339, UTC, whole seconds."""
    return None if at is None else to_rfc3339(at)

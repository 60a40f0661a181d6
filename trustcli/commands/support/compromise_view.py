"""What `trust key compromised` says of each collection: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keys.keyid import short_keyid
from trustcli.console.output import failure_document
from trustdata.compromise import Claim, Compromise, Exposure, Power
from trustdata.counting import counted
from trustdata.editing.difference import Difference
from trustdata.editing.owner_roles import file_reference
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN

_SHOWN: Final = 20
"""How many changes are listed for people; JSON has all of them."""
_SINCE: Final = {
    "as-verified-here": "as it was verified here",
    "new": "NEW since it was verified here",
    "moved": "MOVED since it was verified here",
    "not-known-here": "not verified here before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedCollection:
    """One collection: what the key means there, or why it could not be read."""

    gun: GUN
    format: str = ""
    compromise: Compromise | None = None
    failure: TrustError | None = None

    @property
    def named(self) -> bool:
        """Whether the collection names the key."""
        return self.compromise is not None and bool(self.compromise.powers)


def document(each: ExaminedCollection) -> dict[str, object]:
    """Return what JSON says of one collection."""
    found = each.compromise
    if found is None:
        error = failure_document(each.failure) if each.failure is not None else None
        return {"gun": each.gun, "state": "failed", "error": error}
    return {
        "gun": each.gun,
        "state": "done",
        "format": each.format,
        "holders": list(found.holders),
        "powers": [_power_row(power) for power in found.powers],
        "exposures": [
            {"client": exposure.client, "threat": exposure.threat, "text": exposure.text}
            for exposure in found.exposures
        ],
        "claims": [_claim_row(claim) for claim in found.claims],
        "unproven": [file_reference(file) for file in found.unproven],
        "changes": None if found.changes is None else list(_changes(found.changes)),
        "error": None,
    }


def _power_row(power: Power) -> Mapping[str, object]:
    return {
        "role": shown(power.role),
        "delegator": shown(power.delegator),
        "threshold": power.threshold,
        "keys": power.keys,
        "alone": power.alone,
        "signed": power.signed,
        "version": power.version,
    }


def _claim_row(claim: Claim) -> Mapping[str, object]:
    return {
        "tag": shown(claim.tag),
        "digest": f"sha256:{claim.digest}",
        "signed_in": list(map(shown, claim.signed_in)),
        "released": claim.released,
        "others": list(claim.others),
        "alone": claim.alone,
        "clients": list(claim.clients),
        "since": claim.since,
        "before": f"sha256:{claim.before}" if claim.before else None,
    }


def lines(examined: Sequence[ExaminedCollection]) -> Iterator[str]:
    """Return the lines for people about the collections that name the key. Failures are shown elsewhere."""
    for number, each in enumerate(each for each in examined if each.named):
        if number:
            yield ""
        yield from _collection_lines(each)


def _collection_lines(each: ExaminedCollection) -> Iterator[str]:
    found = each.compromise
    if found is None:
        return
    yield f"{each.gun}  {each.format}: a key of {', '.join(found.holders) or 'the releases'}"
    yield "  it may sign"
    yield from (f"    {_power_line(power)}" for power in found.powers)
    yield "  from now on its thief can have it that"
    yield from (f"    {line}" for line in _exposure_lines(found.exposures))
    if found.claims:
        yield "  it has signed, or can have released"
        yield from (f"    {_claim_line(claim)}" for claim in found.claims)
    if found.changes is not None:
        changes = list(_changes(found.changes))
        yield (
            "  since this machine has verified it last"
            if changes
            else "  nothing has changed since it was verified here"
        )
        yield from (f"    {change}" for change in changes[:_SHOWN])
        if len(changes) > _SHOWN:
            yield f"    and {len(changes) - _SHOWN} more: --json has all"
    else:
        yield "  this machine has not verified it before, so what was changed is not known"
    for file in found.unproven:
        yield f"  the keys that {file.role} {file.version} names may be the thief's: {file_reference(file)}"


def _power_line(power: Power) -> str:
    what = f"{shown(power.role)} {power.version}" if power.version is not None else shown(power.role)
    alone = "alone" if power.alone else "not alone"
    signed = ", has signed it" if power.signed else ""
    return f"{what}: {alone} ({power.threshold} of {counted(power.keys, 'key')}){signed}"


def _exposure_lines(exposures: Sequence[Exposure]) -> Iterator[str]:
    """Return one line for each threat, with all clients that it is about."""
    clients: dict[str, list[str]] = {}
    for exposure in exposures:
        clients.setdefault(exposure.text, []).append(exposure.client)
    yield from (f"each of {', '.join(names)} {text}" for text, names in clients.items())


def _claim_line(claim: Claim) -> str:
    parts = [f"{shown(claim.tag)}@sha256:{claim.digest}"]
    parts.append(f"signed in {', '.join(map(shown, claim.signed_in))}" if claim.signed_in else "may have been released")
    parts.append(f"also signed by {', '.join(claim.others)}" if claim.others else "NOBODY ELSE vouches for it")
    parts.append(f"accepted by {', '.join(claim.clients)}" if claim.clients else "accepted by nobody today")
    was = f" (sha256:{claim.before})" if claim.before else ""
    return "; ".join([*parts, f"{_SINCE[claim.since]}{was}"])


def _changes(found: Difference) -> Iterator[str]:
    """Yield a sentence for each change of keys, delegations and tags."""
    for keys in found.keys:
        what = f"{shown(keys.role)} in {shown(keys.delegator)}"
        yield from (f"+ key {short_keyid(keyid)} of {what}" for keyid in keys.added)
        yield from (f"- key {short_keyid(keyid)} of {what}" for keyid in keys.removed)
        if keys.threshold_before != keys.threshold_after:
            yield f"threshold of {what}: {keys.threshold_before or 'none'} -> {keys.threshold_after or 'none'}"
    for delegation in found.delegations:
        yield f"delegation {shown(delegation.role)} in {shown(delegation.delegator)} {delegation.kind}"
    for denial in found.denied:
        what = "denied no more" if denial.after is None else "denied" if denial.before is None else "denied otherwise"
        yield f"sha256:{denial.digest} {what}"
    for tag in found.tags:
        before, after = (f"sha256:{shown(digest)}" if digest else "nothing" for digest in (tag.before, tag.after))
        yield f"{shown(tag.role)} tag {shown(tag.tag)}: {before} -> {after}"

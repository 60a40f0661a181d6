"""Format the explanation of a verdict (`trust explain`): rows for people, and the document of `--json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from keys.keyid import short_keyid
from keys.record import is_record, values_of
from keys.rfc3339 import to_rfc3339
from trustdata.counting import counted
from trustdata.errors import DigestDenied
from trustdata.explanation import (
    PINS,
    Explanation,
    PinReport,
    PolicyReport,
    RegistryReport,
    RoleStep,
    RootStep,
    SignerReport,
    Simulation,
)

_CHILDREN_SHOWN: Final = 4
"""How many platforms of an index are named; of the others only how many they are is said."""


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Return the lines for people: the verdict, then each step in the order of verification."""
    rows = list(_rows(explanation))
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        yield f"{label.ljust(width)}  {text}"


def explanation_document(explanation: Explanation) -> dict[str, object]:
    """Return the explanation for `--json`, without the refusal, which the caller adds as the `error` member."""
    names = [field.name for field in fields(explanation) if field.name != "refusal"]
    return {name: _plain(getattr(explanation, name)) for name in names}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if is_record(value):
        return {name: _plain(member) for name, member in values_of(value).items()}
    if isinstance(value, datetime):
        return to_rfc3339(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _rows(explanation: Explanation) -> Iterator[tuple[str, str]]:
    policy = explanation.policy
    if explanation.trusted:
        trusted = "trusted" if policy is None or policy.verified else "allowed, and not verified"
        yield "verdict", f"{trusted}: {explanation.name}@{explanation.digest}"
    else:
        yield "verdict", f"refused at {explanation.broke_at}: {explanation.refusal}"
    if explanation.simulation is not None:
        yield from _simulation_rows(explanation.simulation, explanation)
    if policy is not None:
        yield from _policy_rows(policy, explanation)
    if explanation.server is not None:
        how = "not asked (--offline)" if explanation.offline else explanation.server.source
        yield "server", f"{explanation.server.url} ({how})"
    yield from _known_rows(explanation)
    for root in explanation.roots:
        refused = explanation.broke_at == PINS and root.current
        why = "the pins do not all match this chain" if explanation.pins else "no pin is known for this chain"
        yield f"root {root.version}", _root(root, explanation.at) + (f"; {why}" if refused else "")
    for step in explanation.roles:
        yield from _step(step, explanation)
    yield from _release_rows(explanation)
    for each in explanation.denied:
        found = explanation.refusal if isinstance(explanation.refusal, DigestDenied) else None
        here = found is not None and found.denied_by == each.denied_by
        yield "denied", f"{each.denied_by} denies {counted(each.digests, 'digest')}{', this one too' if here else ''}"
    for change in explanation.changes:
        when = f"{_time(change.at)} ({_distance(change.at, explanation.at)}): " if change.at else ""
        yield "changes if", f"{when}{change.what}"


def _simulation_rows(simulation: Simulation, explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Return the rows of another time: what is assumed, when it breaks, what has expired, what other clients say."""
    read_at, at = simulation.read_at, explanation.at
    yield (
        "simulated",
        f"{_time_and_distance(at, read_at)}, by the trust data of {_time(read_at)}; nothing is kept",
    )
    if at <= read_at:
        yield "assumed", "a clock that says so; the trust data is that of now"
    elif simulation.server_renews:
        renewed = " and ".join(simulation.server_renews)
        known = "it says that it has the keys" if simulation.server_asked else "whether it has the keys is not known"
        yield "assumed", f"no owner signs; the server goes on renewing {renewed} ({known})"
        if simulation.without:
            yield "assumed", f"and if it signs nothing, either: {simulation.without}"
    if simulation.breaks_at is not None:
        when = _time_and_distance(simulation.breaks_at, read_at)
        yield "breaks", f"{when}, when {simulation.breaks_role} expires"
    for role in simulation.roles:
        fate = "" if role.fate == "expired" else f"{role.fate}; "
        yield "then", f"{role.role} {role.version}: {fate}{_expiry(role.expires, at)}"
    for client in simulation.clients:
        note = f"; {client.note}" if client.note else ""
        yield "client", f"{client.client}: {client.refusal or 'would take it'}{note}"


def _policy_rows(policy: PolicyReport, explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Return the rows of the rule that counts: its mode, an exemption's reason and end, an alias."""
    if policy.rule:
        exemption = f"; {policy.exemption}" if policy.exemption else ""
        yield "policy", f"{policy.mode}, by {policy.rule}{exemption}"
    if explanation.trusted and explanation.refusal is not None:
        yield "watched", f"would be refused at {explanation.broke_at}: {explanation.refusal}"
    if policy.trust_name != explanation.name:
        yield "alias of", f"{policy.trust_name}, by the policy; its pins, memory and server count"


def _known_rows(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Return the rows of what this machine knew before: alias, pins, memory, lock entry, and what is asked for."""
    if explanation.real_name != explanation.name:
        yield "alias of", f"{explanation.real_name}, whose pins, memory and server count"
    for pin in explanation.pins:
        yield "pin", _pin(pin, has_roots=bool(explanation.roots))
    if not explanation.pins and explanation.lock is None:
        yield "pin", "none: nothing here says where trust in this name begins"
    memory = explanation.memory
    if memory is None:
        yield "memory", "none: this machine has verified nothing of this name before"
    else:
        refreshed = _time_and_distance(memory.refreshed, explanation.at) if memory.refreshed else "never"
        void = f"; void by a newer root: {', '.join(memory.void)}" if memory.void else ""
        yield "memory", f"first root {memory.root_of_trust}, last refreshed {refreshed}{void}"
    lock = explanation.lock
    if lock is not None:
        used_as = "minimum versions and, because there is no other, the pin" if lock.pins else "minimum versions"
        yield "lock", f"{lock.source}: root version {lock.root_version}, {lock.root}; {used_as}"
    for demand in explanation.demands:
        yield "required", f"{demand} ({demand.source})"


def _pin(pin: PinReport, *, has_roots: bool) -> str:
    if pin.held_by is not None:
        found = f"matches root version {pin.held_by}"
    else:
        found = "matches no root of this chain" if has_roots else "not compared: no root could be fetched"
    return f"{pin.pin} ({pin.source}): {found}"


def _root(root: RootStep, at: datetime) -> str:
    previous = f", and by {_keyids(root.vouched)} of root {root.version - 1}" if root.vouched else ""
    text = f"sha256:{root.sha256}, signed by {_keyids(root.signed)}"
    text += f" ({root.threshold} of {len(root.keys)} needed){previous}"
    if not root.current:
        return text
    named = "" if root.named else "; does not name this collection alone"
    return f"{text}; current, {_expiry(root.expires, at)}{named}"


def _step(step: RoleStep, explanation: Explanation) -> Iterator[tuple[str, str]]:
    at_least = f"; at least version {step.at_least}, {step.at_least_source}" if step.at_least is not None else ""
    if step.version is None or step.expires is None:
        state = f"refused: {explanation.refusal}" if step.state == "refused" else step.state
        yield step.role, f"{state}{at_least}"
        return
    text = f"version {step.version}, signed by {_keyids(step.signed)} ({step.threshold} of {len(step.keys)} needed), "
    text += _expiry(step.expires, explanation.at)
    if step.issued_about is not None:
        text += f", signed about {_time_and_distance(step.issued_about, explanation.at)}"
    if step.state == "refused":
        text = f"refused: {explanation.refusal}; known: {text}"
    yield step.role, text + at_least


def _release_rows(explanation: Explanation) -> Iterator[tuple[str, str]]:
    release = explanation.release
    if release is not None:
        text = f"{release.tag} is {release.digest} (a manifest of {release.size} bytes), by {release.role}"
        if release.children:
            more = len(release.children) - _CHILDREN_SHOWN
            named = ", ".join(release.children[:_CHILDREN_SHOWN]) + (f" and {more} more" if more > 0 else "")
            text += f"; platforms {named}"
        if release.platform:
            text += f"; asked for its platform {release.platform}"
        yield "release", text
    for signer in explanation.signers:
        yield "signer", _signer(signer)
    if explanation.registry is not None:
        yield "registry", _registry(explanation.registry)


def _signer(signer: SignerReport) -> str:
    state: str = signer.stand
    if signer.stand == "lists another digest":
        state = f"lists {signer.digest} instead"
    elif signer.stand == "unreadable":
        state = f"cannot be read: {signer.reason}"
    required = ", and is asked for" if signer.required else ""
    return f"{signer.name} {state} (key {_keyids(signer.keys)}){required}"


def _registry(registry: RegistryReport) -> str:
    if registry.digest is None:
        return f"{registry.registry} could not be compared: {registry.reason}"
    if registry.diverges is None:
        return f"{registry.registry} serves {registry.digest} under this tag; nothing signed to compare it with"
    if registry.diverges:
        return f"DIVERGES: {registry.registry} serves {registry.digest} under this tag, not the signed digest"
    return f"{registry.registry} serves {registry.digest} under this tag, as signed"


def _keyids(keyids: tuple[str, ...]) -> str:
    return ", ".join(short_keyid(keyid) for keyid in keyids) or "nobody"


def _expiry(expires: datetime, at: datetime) -> str:
    return f"{'expired' if expires <= at else 'expires'} {_time(expires)} ({_distance(expires, at)})"


def _time_and_distance(then: datetime, at: datetime) -> str:
    return f"{_time(then)} ({_distance(then, at)})"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _distance(then: datetime, at: datetime) -> str:
    past = then <= at
    span = _span(at - then if past else then - at)
    return f"{span} ago" if past else f"in {span}"


def _span(span: timedelta) -> str:
    """Return the span in its largest units, two at most."""
    minutes = int(span.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days >= 10:
        return f"{days} days"
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"

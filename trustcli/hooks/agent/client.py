"""Ask the agent of this node, if there is one that may be believed.

Only a yes is taken, and only one that is about the very question. Whatever else comes of it (no agent, one of another
user, one that decides by other files, a refusal, silence, nonsense) means the same: who asks verifies by itself. So an
agent can make a verdict faster, and never make one impossible. What it remembers of the collections comes with a yes
and with a no, and is remembered here, too (`agent.memory`). Nothing here imports what verifies.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from keys.record import record
from trustcli.hooks.agent.place import trusted_uids, why_unsafe
from trustcli.hooks.agent.protocol import MAX_ANSWER, VERSION, NoFrame, peer_uid, receive, send

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_EXEMPTING: Final = frozenset({"allow", "audit"})
"""Modes of rules that let any content run."""


Remember: TypeAlias = Callable[[Mapping[str, object]], None]


@record
class Asked:
    """A question. `image`: the name as it was given. `digest`: what the registry serves, if it is known."""

    image: str
    digest: str | None


@record
class Yes:
    """An agent's yes. `runs`: the digest that may run; None: whatever the registry serves, as `mode` says.

    `collection`: whose trust data was judged. `age`: seconds since the trust server confirmed what it was judged by;
    None where nothing was read. `evidence`: the fields of `trustdata.judgement.Evidence` as JSON has them. `memory`:
    what the agent remembers of every collection that the decision rests on, by name.
    """

    runs: str | None
    collection: str
    reason: str
    mode: str
    rule: str
    warnings: tuple[str, ...]
    age: float | None
    stale: bool
    evidence: Mapping[str, object]
    memory: Mapping[str, object]


def ask_agent(
    path: str, context: str, questions: Iterable[Asked], *, seconds: float, memory: Remember
) -> Iterator[Yes | None]:
    """Ask questions, and yield the answer to each; None where the agent's is of no use, from the first fault on all.

    `context`: the hash of what decides here. `seconds`: for all questions together, connecting included. `memory`: is
    given what comes as the agent's memory with each answer, before the answer is yielded. Raises: what `memory` raises.
    """
    until = time.monotonic() + seconds
    connection: socket.socket | None = None
    try:
        connection = _connected(path, until)
        for question in questions:
            answer = None
            if connection is not None:
                try:
                    answer, remembered = _asked(connection, context, question, until)
                except (OSError, NoFrame):
                    connection.close()
                    connection = None
                else:
                    memory(remembered)
            yield answer
    finally:
        if connection is not None:
            connection.close()


def _connected(path: str, until: float) -> socket.socket | None:
    """Return a connection to an agent of root or of this user; None if there is none."""
    uids = trusted_uids()
    if why_unsafe(path, uids) is not None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(max(0.001, until - time.monotonic()))
        connection.connect(path)
        if peer_uid(connection) in uids:
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _asked(connection: socket.socket, context: str, asked: Asked, until: float) -> tuple[Yes | None, dict[str, object]]:
    """Return the answer to one question, None if it is no yes, and what the agent remembers.

    Raises: OSError, NoFrame (it is no answer to this).
    """
    question: dict[str, object] = {
        "version": VERSION,
        "id": os.urandom(16).hex(),
        "context": context,
        "image": asked.image,
        "digest": asked.digest,
    }
    send(connection, question, until=until)
    answer = receive(connection, limit=MAX_ANSWER, until=until)
    if answer is None or any(type(answer.get(name)) is not type(value) for name, value in question.items()):
        raise NoFrame
    if any(answer[name] != value for name, value in question.items()):
        raise NoFrame
    remembered = answer.get("memory", {})
    if not isinstance(remembered, dict):
        raise NoFrame
    return _yes(answer, asked, remembered), remembered


def _yes(answer: Mapping[str, object], asked: Asked, memory: Mapping[str, object]) -> Yes | None:
    """Return the yes that an answer is; None if it is none. Raises: NoFrame (it has not the form of an answer)."""
    if answer.get("allowed") is not True:
        return None
    runs, age, evidence = answer.get("runs"), answer.get("age"), answer.get("evidence")
    mode, reason, rule, collection = (answer.get(name) for name in ("mode", "reason", "rule", "collection"))
    warnings = answer.get("warnings")
    if not (
        isinstance(mode, str) and isinstance(reason, str) and isinstance(rule, str) and isinstance(collection, str)
    ):
        raise NoFrame
    if not (isinstance(warnings, list) and all(isinstance(each, str) for each in warnings)):
        raise NoFrame
    if not (isinstance(evidence, dict) and isinstance(answer.get("stale"), bool)):
        raise NoFrame
    if not (age is None or (type(age) in {int, float} and isinstance(age, int | float) and 0 <= age < float("inf"))):
        raise NoFrame
    if runs is None:
        if mode not in _EXEMPTING or asked.digest is not None:
            raise NoFrame
    elif not (isinstance(runs, str) and _DIGEST.fullmatch(runs) and asked.digest in (None, runs)):
        raise NoFrame
    return Yes(
        runs=runs,
        collection=collection,
        reason=reason,
        mode=mode,
        rule=rule,
        warnings=tuple(warnings),
        age=None if age is None else float(age),
        stale=answer["stale"] is True,
        evidence=evidence,
        memory=memory,
    )

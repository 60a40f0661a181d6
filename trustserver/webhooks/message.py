"""What a webhook is told of an event: the bytes of the request, signed with the secret that both know."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version

import orjson

from trustserver.responses.recorded import event_row
from trustserver.storage.events import StoredEvent
from trustserver.webhooks.hooks import Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event for one hook. `number`: of the event; a message that is sent again has the same."""

    number: int
    body: bytes = field(repr=False)

    def request(self, hook: Hook, at: datetime) -> bytes:
        """Return the HTTP request. `at`: when it is sent, which the signature covers."""
        host = f"[{hook.host}]" if ":" in hook.host else hook.host
        lines = (
            f"POST {hook.path} HTTP/1.1",
            f"Host: {host}:{hook.port}",
            f"User-Agent: trust-server/{version('content-trust')}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            f"Trust-Event: {self.number}",
            f"Trust-Signature: {signature(hook.secret, self.body, at)}",
            "Connection: close",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii") + self.body


def signature(secret: bytes, body: bytes, at: datetime) -> str:
    """Return the header that says who sent a body, and when: `t=SECONDS,v1=HEX`.

    HEX is HMAC-SHA256 over SECONDS, a point and the body. A receiver refuses times of long ago, so that nobody can send
    it again.
    """
    seconds = int(at.timestamp())
    return f"t={seconds},v1={hmac.new(secret, b'%d.%b' % (seconds, body), sha256).hexdigest()}"


def message_of(hook: Hook, event: StoredEvent) -> Message:
    """Return what a hook is told of an event: the event as it is stored and, if it is meant to know, the people."""
    row = {**event_row(event), "hook": hook.name}
    if not hook.people:
        row = {"event": row["event"], "hook": hook.name}
    return Message(number=event.number, body=orjson.dumps(row))

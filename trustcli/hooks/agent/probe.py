"""Find out whether commands and hooks would use the agent of this machine, and why not: they themselves do not say."""

from __future__ import annotations

import os
import socket
import time

from keys.record import record
from trustcli.hooks.agent.place import trusted_uids, why_unsafe
from trustcli.hooks.agent.protocol import MAX_ANSWER, VERSION, NoFrame, peer_uid, receive, send


@record
class AgentUse:
    """Whether a process here would use the agent. `is_used`: it is asked first, and its yes is taken.

    `why`: the end of a sentence about it; `remedy`: what makes it be used; "" if it is.
    """

    is_used: bool
    why: str
    remedy: str = ""


def probe_agent(path: str, context: str, *, seconds: float) -> AgentUse:
    """Ask the agent at a path about no image, as a process would whose settings have this hash (`context`).

    `seconds`: for the whole conversation.
    """
    if not os.path.lexists(path):
        return _unused("does not run: there is nothing at this path", "start trust agent with this --socket")
    unsafe = why_unsafe(path, trusted_uids())
    if unsafe is not None:
        return _unused(
            f"is not asked, since somebody else could answer: {unsafe}",
            "let socket and folders belong to root or the user who asks, and nobody else write to them",
        )
    try:
        return _asked(path, context, seconds)
    except TimeoutError:
        return _unused(f"has not answered within {seconds:g} s", "see what it does: its log, and --metrics")
    except PermissionError:
        return _unused("may not be asked by this user", "start trust agent with a wider --socket-mode")
    except (OSError, NoFrame) as error:
        reason = getattr(error, "strerror", None) or "no answer that is understood"
        return _unused(f"does not answer ({reason})", "start trust agent anew, of the same version as this program")


def _asked(path: str, context: str, seconds: float) -> AgentUse:
    """Connect and ask. Raises: OSError, NoFrame."""
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        uid = peer_uid(connection)
        if uid not in trusted_uids():
            return _unused(f"is run by user {uid}, and only root's or one's own is believed", "run it as root")
        return _by_code(_code(connection, context, until))


def _code(connection: socket.socket, context: str, until: float) -> object:
    """Return the code of the answer to a question about no image. Raises: OSError, NoFrame."""
    question: dict[str, object] = {
        "version": VERSION,
        "id": os.urandom(16).hex(),
        "context": context,
        "image": "",
        "digest": None,
    }
    send(connection, question, until=until)
    answer = receive(connection, limit=MAX_ANSWER, until=until)
    if answer is None or answer.get("id") != question["id"]:
        raise NoFrame
    return answer.get("code")


def _by_code(code: object) -> AgentUse:
    if code == "other-context":
        return _unused(
            "decides by other files, so that its answers are not taken",
            "start it with the same settings (--config); pins, servers, allow list and the policy's path count",
        )
    if code == "other-version":
        return _unused("is of another version", "stop it, and start the one that is installed now")
    return AgentUse(is_used=True, why="is asked first")


def _unused(why: str, remedy: str) -> AgentUse:
    return AgentUse(is_used=False, why=why, remedy=remedy)

"""Say in one sentence what an answer that is no success means: who gave it, its first line, and its usual cause.

The text is a server's or a proxy's, and may be a page for people: it is cut here, and escaped where it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from html import unescape
from http import HTTPStatus
from typing import Final

from trustcli.config.credential import TOKEN_VARIABLE
from trustcli.errors import RemoteBusy, RemoteFailing, RemoteUnreachable
from trustcli.http.messages import Response
from trustcli.http.patience import retry_after
from trustdata import bounded_json

_LONGEST: Final = 160
"""Characters of a first line."""
_LOOKED_AT: Final = 8 * 1024
"""Bytes of an answer in which its first line is looked for."""
_HEADING: Final = re.compile(r"<(title|h1)\b[^<>]{0,200}>([^<]{1,500})<", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]{0,500}>")
_SERVER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/ ()-]{0,60}", re.ASCII)
_TEXTS: Final = ("message", "detail", "title", "error_description", "details", "error", "reason")
_MEANINGS: Final[Mapping[int, str]] = {
    403: "usually a firewall or a proxy before it does not let this request through",
    405: "usually a proxy before it lets only reads through, or the address belongs to something else",
    407: "a proxy before it wants to know who asks",
    413: "usually a proxy before it takes no upload of this size (nginx: client_max_body_size)",
    429: "it was asked too often, from this address or with this account",
    502: "usually a proxy before it gets no answer from what stands behind",
    503: "it has too much to do, or what stands behind a proxy does not run",
    504: "usually a proxy before it waited in vain for what stands behind",
}


def first_line(response: Response, secrets: Collection[str] = ()) -> str:
    """Return the first line of what an answer says, from JSON, a page or plain text; empty if it says nothing.

    `secrets`: what was sent. A line that holds one is left out.
    """
    text = response.body[:_LOOKED_AT].decode(errors="replace").lstrip("\ufeff \t\r\n")
    line = _said_in_json(response.body) if text.startswith(("{", "[")) else None
    if line is None:
        line = _said_on_page(text) if text.startswith("<") else text
    line = " ".join(line.strip().partition("\n")[0].split())
    if any(secret and secret in line for secret in secrets):
        return ""
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def login_command(server: str, *, tried: str = "") -> str:
    """Return how one logs in at a trust server. `server`: its address. `tried`: what was shown to it, in words.

    A login that is stored helps nobody while the environment has a token, which counts before it.
    """
    command = f"trust login {server.removeprefix('https://')}"
    return f"give another token in {TOKEN_VARIABLE}, or unset it and: {command}" if TOKEN_VARIABLE in tried else command


def is_page(response: Response) -> bool:
    """Return whether an answer is made for people, as those of proxies are: not JSON, and not empty."""
    body = response.body.lstrip()
    return bool(body) and not body.startswith((b"{", b"["))


def no_document(response: Response, *, what: str, remote: str) -> str:
    """Say what came in place of a document in JSON: nothing, or a page for people; empty if it was neither.

    `what`: the document. `remote`: who sent it.
    """
    if not response.body.strip():
        return f"it sends nothing in place of {what}"
    if not response.body.lstrip().startswith(b"<"):
        return ""
    usual = f"usually {remote} is the address of a web interface, or a sign-in page stands before the server"
    return f"it sends a page in place of {what}: {words(response)}; {usual}"


def words(response: Response, said: str | None = None) -> str:
    """Return first line, speaker and usual cause: `Bad Gateway (nginx); usually ...`. `said`: in place of the line."""
    said = first_line(response) if said is None else said
    page = is_page(response)
    server = response.first("server")
    by = f" ({server})" if page and _SERVER.fullmatch(server) else ""
    # A server that says nothing at all may have any reason to forbid something.
    silent = not response.body.strip() and response.status != HTTPStatus.FORBIDDEN
    meaning = _MEANINGS.get(response.status, "") if page or silent else ""
    return "; ".join(filter(None, [f"{said or 'no reason given'}{by}", meaning]))


def failing(response: Response, *, remote: str, said: str | None = None, what: str = "it") -> RemoteUnreachable:
    """Return the error for a 5xx or 429. `said`: as in `words`. `what`: who answered, if `remote` does not say it."""
    text = words(response, said)
    if response.busy:
        reason = text if what == "it" else f"{what}: {text}"
        return RemoteBusy(remote=remote, reason=reason, status=response.status, seconds=retry_after(response) or 0)
    return RemoteFailing(remote=remote, reason=f"{what} answered {response.status}: {text}", status=response.status)


def _said_in_json(body: bytes) -> str | None:
    try:
        content = bounded_json.loads(body)
    except (ValueError, RecursionError):
        return None
    errors = content.get("errors") if isinstance(content, dict) else None
    if isinstance(errors, list) and errors:
        content = errors[0]
    if not isinstance(content, dict):
        return ""
    code = content.get("code")
    for name in _TEXTS:
        if isinstance(content.get(name), str) and content[name]:
            return str(content[name])
    return code if isinstance(code, str) else ""


def _said_on_page(text: str) -> str:
    heading = _HEADING.search(text)
    return unescape(heading.group(2) if heading else _TAG.sub(" ", text).strip())

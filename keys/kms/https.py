"""One JSON request to a service over HTTPS, with nothing but the standard library.

The service is known by its certificate; its answers are bounded, and are no code. Credentials go to the one address
that was named: a redirection is refused, and http is for loopback alone.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from keys.errors import KeysError
from keys.kms.asking import REQUEST_SECONDS
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceDeclined,
    KeyServiceDenied,
    KeyServiceError,
    KeyServiceThrottled,
    KeyServiceUnreachable,
    said,
)
from keys.kms.service_keys import ServiceKey

MAX_ANSWER: Final = 256 * 1024
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def safe_address(address: str) -> bool:
    """Return whether credentials may go to an address: over https, or to this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def ask(
    key: ServiceKey,
    url: str,
    *,
    headers: Mapping[str, str],
    content: Mapping[str, object] | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object of an answer, of whatever status. With `content` it is a POST.

    Raises: KeyServiceUnreachable, KeyServiceAnswerWrong.
    """
    body = None if content is None else json.dumps(content).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json", **headers})  # noqa: S310 - see `safe_address`
    proxies = [ProxyHandler({})] if urlsplit(url).hostname in _LOOPBACK else []
    secured = [HTTPSHandler(context=tls or _authorities())] if url.startswith("https:") else []
    opener = build_opener(*proxies, *secured, _NoRedirections())
    try:
        try:
            answer = opener.open(request, timeout=REQUEST_SECONDS)
        except HTTPError as error:
            answer = error
        with answer:
            status, text = int(answer.status), answer.read(MAX_ANSWER + 1)
    except URLError as error:
        raise _unreachable(key, error.reason) from error
    except (OSError, HTTPException) as error:
        raise _unreachable(key, error) from error
    if len(text) > MAX_ANSWER:
        raise key.wrong(f"it answered more than {MAX_ANSWER} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if status >= 400:  # a proxy, or the front of a service that is out of order
            return status, {}
        raise key.wrong("its answer is not JSON") from error
    return status, document if isinstance(document, dict) else {}


def refusal(key: ServiceKey, status: int, words: object) -> KeysError:
    """Return the error for a status that is no success. `words`: those of the service."""
    reason = f"it answered {status}: {said(words)}" if words else f"it answered {status}"
    if 300 <= status < 400:
        reason = f"{reason}, and sends elsewhere, where one does not go with credentials: name that address itself"
    if status == 404:
        return KeyNotInService(service=key.service, key=key.name)
    if status >= 500:
        reason = f"it is out of order; {reason}"
        return KeyServiceUnreachable(service=key.service, key=key.name, reason=reason)
    kinds: dict[int, type[KeyServiceError]] = {
        401: KeyServiceDenied,
        403: KeyServiceDenied,
        429: KeyServiceThrottled,
    }
    return kinds.get(status, KeyServiceDeclined)(service=key.service, key=key.name, reason=reason)


@cache
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


class _NoRedirections(HTTPRedirectHandler):
    """Follows no redirection, which would show the credentials to another service: the answer is returned as it is."""

    def redirect_request(  # noqa: PLR0917 - the library calls it so
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Return nothing: not followed."""
        del req, fp, code, msg, headers, newurl


def _unreachable(key: ServiceKey, why: object) -> KeyServiceUnreachable:
    return KeyServiceUnreachable(service=key.service, key=key.name, reason=f"it cannot be reached: {said(why)}")

"""Choose the proxy of a connection from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as curl, Docker and Go do.

Loopback is never proxied. `HTTP_PROXY` in capitals is not read inside a CGI program, where a request header sets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from trustcli.config.credential import octets
from trustcli.errors import SettingsUnusable

_QUOTES = "\"'\u201c\u2018"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy. `authorization` is the value of Proxy-Authorization, empty for none."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def is_loopback(host: str) -> bool:
    """Return whether the host (no port, no brackets) is this machine by definition: `localhost`, 127.0.0.0/8, ::1.

    Not `*.localhost`, which some name servers answer.
    """
    name = host.lower().rstrip(".")
    if name in {"localhost", "::1"}:
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts)


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for `scheme://host:port`, or None for a direct connection. Raises: SettingsUnusable."""
    if is_loopback(host):
        return None
    for name in _variables(scheme, environ):
        value = environ.get(name, "").strip()
        if value:
            return None if _excluded(host, port, _no_proxy(environ)) else _parse(name, value)
    return None


def _variables(scheme: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    lower = f"{scheme}_proxy"
    own = (lower,) if scheme == "http" and "REQUEST_METHOD" in environ else (lower, lower.upper())
    return (*own, "all_proxy", "ALL_PROXY")


def _no_proxy(environ: Mapping[str, str]) -> str:
    return environ.get("no_proxy") or environ.get("NO_PROXY", "")


def _excluded(host: str, port: int, no_proxy: str) -> bool:
    name = host.lower().rstrip(".")
    for given in no_proxy.replace(" ", ",").split(","):
        entry = given.strip().lower()
        if not entry:
            continue
        if entry == "*" or (_network_holds(entry, name) if "/" in entry else False):
            return True
        entry, entry_port = _split_port(entry)
        if entry_port and entry_port != str(port):
            continue
        domain = entry.removeprefix("*").removeprefix(".").rstrip(".")
        if domain and (name == domain or name.endswith(f".{domain}")):
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        inside, _, rest = entry[1:].partition("]")
        return inside, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _network_holds(network: str, name: str) -> bool:
    import ipaddress  # only for networks in NO_PROXY: start-up time

    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parse(variable: str, value: str) -> Proxy:
    if value[0] in _QUOTES:
        raise SettingsUnusable(place=variable, reason="begins with a quotation mark, which is no part of a URL")
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit("//"), None, None
    secret = url.partition("://")[2].rpartition("@")[0]
    if "@" not in parts.netloc and any(c in secret for c in "#/?[]"):
        # What stands before such a character was taken for the host: no message may hold it.
        reason = "has one of # / ? [ ] before its @: in a user name or password write %23 %2F %3F %5B %5D"
        raise SettingsUnusable(place=variable, reason=reason)
    if not parts.scheme:
        raise SettingsUnusable(place=variable, reason="is not the URL of a proxy")
    if parts.scheme != "http":
        raise SettingsUnusable(place=variable, reason=f"names a {parts.scheme} proxy; only http:// proxies can be used")
    if not host:
        raise SettingsUnusable(place=variable, reason="names no host")
    return Proxy(host=host, port=port or 80, authorization=_authorization(parts.username, parts.password))


def _authorization(username: str | None, password: str | None) -> str:
    if username is None:
        return ""
    import base64

    pair = b":".join(unquote_to_bytes(octets(part)) for part in (username, password or ""))
    return "Basic " + base64.b64encode(pair).decode()

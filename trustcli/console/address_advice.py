"""Advice on how to write an address or the name of an image that was not understood."""

from __future__ import annotations

import re
from typing import Final

from trustdata.errors import InvalidName

_SCHEME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_HOST: Final = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_ADDRESS: Final = re.compile(rf"{_HOST}(?:/[A-Za-z0-9._~/-]*)?")
"""A host with what may follow it in a URL, but without a scheme."""
_URLS: Final = frozenset({"trust server", "registry", "proxy"})
"""The kinds of names that are URLs, as somebody types them."""
_NAMES: Final = frozenset({"image reference", "image to sign", "collection name"})
"""Those that have no scheme."""
_LOGIN: Final = re.compile(r"^[^/@]*@")
_IMAGE: Final = re.compile(r"[A-Za-z0-9._:@/-]+")
_WITH_PATH: Final = re.compile(rf"(https?://{_HOST})/.+")


def advice_invalid_name(error: InvalidName) -> str:
    """Return how an address or the name of an image is written so that it can be one, or who has the right pin."""
    rest = _SCHEME.sub("", error.name)
    if error.kind in _URLS:
        return _address(error.name, rest, has_login=error.kind == "trust server")
    if error.kind == "pin":
        return "its publisher has it: trust init printed it, and trust pins shows it"
    if error.kind in _NAMES and rest != error.name and _IMAGE.fullmatch(rest):
        return f"write it without its scheme: {rest}"
    return ""


def _address(given: str, rest: str, *, has_login: bool) -> str:
    """Return how an address is written. `has_login`: `trust login` is where who asks there is said."""
    plain = _LOGIN.sub("", rest.partition("#")[0].partition("?")[0])
    if not _ADDRESS.fullmatch(plain):
        return ""
    if not given.startswith(("http://", "https://")):
        return f"write it with its scheme: https://{plain} (a server without TLS: http://{plain})"
    scheme = given[: -len(rest)]
    address = f"{scheme}{plain.rstrip('/')}"
    login = f"; who asks there is said with: trust login {address}" if has_login and _LOGIN.match(rest) else ""
    return f"write it so: {address}{login}" if address != given.rstrip("/") else ""


def address_without_path(remote: str) -> str:
    """Return the address without the path that it has, or "" if it has none."""
    found = _WITH_PATH.fullmatch(remote)
    return found[1] if found else ""


def host_and_port(remote: str) -> str:
    """Return host and port of a URL, as Docker names the folder of its certificates."""
    host = remote.partition("://")[2].partition("/")[0]
    return host if re.search(r":[0-9]+$", host) else f"{host}:443"

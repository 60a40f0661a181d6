"""PKCS#11 URIs (RFC 7512): which token, which key on it, and by which library.

pkcs11:token=T;serial=S;object=NAME;id=%02?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from keys.errors import ANY_TOKEN, KeyUriMalformed
from keys.record import record
from keys.uris.uri import PKCS11, absolute_path, decoded, shown_uri, split_uri

_TEXTS: Final = ("token", "serial", "manufacturer", "model", "object")
_PATH: Final = (*_TEXTS, "id", "type")
_QUERY: Final = ("module-path", "pin-source", "pin-value", "module-name")
_TYPES: Final = ("private", "public")
_EXAMPLE: Final = "pkcs11:token=NAME;serial=DIGITS;object=KEY?module-path=/path/to/module.so"


@record
class Pkcs11Uri:
    """A parsed URI; what it leaves open is None. `id`: bytes. `module`: the library. `pin_file`: of `pin-source`."""

    module: str
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None
    pin_file: str | None = None

    @property
    def names_key(self) -> bool:
        """Whether it says which key of the token is meant."""
        return self.object is not None or self.id is not None

    @property
    def described_token(self) -> str:
        """The token as the URI names it, for messages."""
        named = {"token": self.token, "serial": self.serial, "manufacturer": self.manufacturer, "model": self.model}
        return (
            ";".join(f"{name}={ascii(value)[1:-1]}" for name, value in named.items() if value is not None) or ANY_TOKEN
        )

    @property
    def described_key(self) -> str:
        """The key as the URI names it, for messages."""
        named = [f"object {ascii(self.object)[1:-1]}"] if self.object is not None else []
        named += [f"id {self.id.hex()}"] if self.id is not None else []
        return f"key with {' and '.join(named)}" if named else "key"

    @property
    def text(self) -> str:
        """The URI, as p11tool writes it, with what says how the token is reached."""
        path = [f"{name}={_quoted(value)}" for name in _TEXTS if (value := getattr(self, name)) is not None]
        path += [f"id={''.join(f'%{byte:02X}' for byte in self.id)}"] if self.id is not None else []
        query = [f"module-path={_quoted(self.module, '/')}"]
        query += [f"pin-source=file:{_quoted(self.pin_file, '/')}"] if self.pin_file is not None else []
        return f"{PKCS11}:{';'.join(path)}?{'&'.join(query)}"


def read_pkcs11_uri(text: str) -> Pkcs11Uri:
    """Parse a URI. An attribute of a vendor behind the `?` is ignored, as the RFC has it; every other must be known.

    Raises: KeyUriMalformed.
    """
    _, rest = split_uri(text)
    path, _, query = rest.partition("?")
    parts = [part for part in path.split(";") if part]
    misplaced = [part for part in parts if part.partition("=")[0] in _QUERY]
    if misplaced:
        right = f"{PKCS11}:{';'.join(p for p in parts if p not in misplaced)}"
        right += f"?{'&'.join([*misplaced, *([query] if query else [])])}"
        names = " and ".join(part.partition("=")[0] for part in misplaced)
        raise KeyUriMalformed(uri=shown_uri(text), reason=f"{names} must follow the ?", form=shown_uri(right))
    token = _attributes(parts, text, known=_PATH)
    how = _attributes(query.split("&") if query else [], text, known=None)
    if "pin-value" in how:
        reason = "a PIN in a URI is seen in lists of processes and in logs; leave pin-value out"
        raise KeyUriMalformed(uri=shown_uri(text), reason=f"{reason}, or give pin-source=file:/PATH")
    if token.get("type", "private") not in _TYPES:
        raise KeyUriMalformed(uri=shown_uri(text), reason=f"type={token['type'][:40]} is no kind of key that signs")
    if "module-path" not in how:
        reason = "it does not say by which library the token is reached"
        raise KeyUriMalformed(uri=shown_uri(text), reason=reason, form=_EXAMPLE)
    texts = {name: decoded(token[name], uri=text) for name in _TEXTS if name in token}
    if "id" in token and not token["id"]:
        raise KeyUriMalformed(uri=shown_uri(text), reason="its id is empty")
    return Pkcs11Uri(
        module=absolute_path(how["module-path"], uri=text, what="module-path"),
        id=unquote_to_bytes(token["id"]) if "id" in token else None,
        pin_file=_pin_file(how["pin-source"], text) if "pin-source" in how else None,
        **texts,
    )


def _attributes(parts: Iterable[str], uri: str, *, known: tuple[str, ...] | None) -> dict[str, str]:
    """Return the attributes by name. `known`: the names that there may be; None for any. Raises: KeyUriMalformed."""
    found: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise KeyUriMalformed(uri=shown_uri(uri), reason=f"{shown_uri(part)[:40]!r} is no NAME=VALUE")
        if known is not None and name not in known:
            reason = f"no token is chosen by {name[:40]} here; use {', '.join(known)}"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        if name in found:
            raise KeyUriMalformed(uri=shown_uri(uri), reason=f"{name[:40]} stands in it twice")
        found[name] = value
    return found


def _pin_file(source: str, uri: str) -> str:
    scheme, colon, path = source.partition(":")
    if not colon or scheme != "file":
        raise KeyUriMalformed(uri=shown_uri(uri), reason="of pin-source only file:/PATH is known here")
    return absolute_path(path, uri=uri, what="pin-source")


def _quoted(value: str, also: str = "") -> str:
    return quote(value, safe=f"-._~{also}")

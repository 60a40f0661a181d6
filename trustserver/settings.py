"""The server's settings: read from four sources and checked once, at start.

A setting comes from the first source that has it: the command line, the variable TRUST_SERVER_<OPTION>, the TOML file,
the default.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict
from urllib.parse import urlsplit

from keys.document_version import DocumentKind
from keys.errors import KeysError
from keys.pkcs11.pkcs11_uri import read_pkcs11_uri
from keys.uris.uri import PKCS11
from trustdata.document_version import refuse_newer
from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded_toml

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ENVIRONMENT_PREFIX: Final = "TRUST_SERVER_"
SEALED: Final = "sealed"
"""In place of a token: keys are made in the database."""
KIND: Final = DocumentKind(what="a file of settings")
MAX_FILE: Final = 1024 * 1024  # bytes
_PORTS: Final = range(65536)
_UNIX: Final = "unix:"
LONGEST_SOCKET_PATH: Final = 107
"""Bytes that the path of a Unix socket may have: sun_path of unix(7) without its NUL."""
_HEADER_NAME: Final = re.compile(r"[Xx]-[A-Za-z0-9-]{1,64}", re.ASCII)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """The address to listen on. `host` is an IP address or `localhost`; port 0 stands for any free port."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixSocket:
    """The Unix socket to listen on, for a proxy on this machine. `path` is absolute."""

    path: Path

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect, as it is with every Unix socket."""
        return True

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The token server whose tokens are accepted.

    `realm`: its URL. `service`: the name that it has for this server (claim `aud`). `issuer`: its own name (claim
    `iss`). `certificates` (PEM) and `jwks` (RFC 7517): files with the public keys that it signs with; at least one is
    given.
    """

    realm: str
    service: str
    issuer: str
    certificates: Path | None
    jwks: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the server. Times are in seconds, sizes in bytes.

    `database` empty: a file in `data`. `connections`, `connections_per_address` 0: derived from what the system allows.
    """

    listen: Listen | UnixSocket = Listen(host="127.0.0.1", port=4443)
    data: Path = Path("trust-server-data")
    database: str = ""
    seal_key: Path | None = None
    next_seal_key: Path | None = None
    online_keys: tuple[str, ...] = ()
    platform_secrets: bool = False
    witness: Path | None = None
    webhooks: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_client_crl: Path | None = None
    certificate_header: str = ""
    proxy_secret: Path | None = None
    proxy_certificate: str = ""
    self_signed: bool = False
    workers: int = 1
    insecure_open: bool = False
    access: Path | None = None
    auth_token_realm: str = ""
    auth_token_service: str = ""
    auth_token_issuer: str = ""
    auth_token_cert: Path | None = None
    auth_token_jwks: Path | None = None
    auth_anonymous_pull: bool = False
    trusted_proxy: tuple[Network, ...] = ()
    connections: int = 0
    connections_per_address: int = 0
    head_seconds: int = 10
    upload_seconds: int = 60
    upload_rate: int = 16 * 1024
    publishes_per_collection: int = 600
    publishes_per_user: int = 3000
    resign_seconds: int = 60
    keep_seconds: int = 3600
    keep_events: int = 0
    named_expiries: int = 0
    max_collections: int = 1_000_000
    subject_collections: int = 50_000
    view_bytes: int = 64 * 1024 * 1024
    log_level: str = "info"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'trust.db'}"

    @property
    def seal_file(self) -> Path:
        return self.seal_key or self.data / "seal.key"

    @property
    def witness_file(self) -> Path:
        return self.witness or self.data / "revisions.witness"

    @property
    def tls(self) -> bool:
        return self.self_signed or self.tls_cert is not None

    @property
    def is_behind_proxy(self) -> bool:
        """Whether a proxy is named, or is all that can connect."""
        return bool(self.trusted_proxy) or isinstance(self.listen, UnixSocket)

    @property
    def tokens(self) -> Tokens | None:
        """The token server whose tokens are accepted; None if no tokens are used.

        `settings_check` makes sure that either all or none of its settings are given.
        """
        if not self.auth_token_realm:
            return None
        return Tokens(
            realm=self.auth_token_realm,
            service=self.auth_token_service,
            issuer=self.auth_token_issuer,
            certificates=self.auth_token_cert,
            jwks=self.auth_token_jwks,
        )


class GivenSettings(TypedDict, total=False):
    """The settings given on the command line, under the names of `Settings`. None: the option was not given."""

    listen: str | None
    data: Path | None
    database: str | None
    seal_key: Path | None
    next_seal_key: Path | None
    online_keys: list[str] | None
    platform_secrets: bool | None
    witness: Path | None
    webhooks: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    tls_client_crl: Path | None
    certificate_header: str | None
    proxy_secret: Path | None
    proxy_certificate: str | None
    self_signed: bool | None
    workers: int | None
    insecure_open: bool | None
    access: Path | None
    auth_token_realm: str | None
    auth_token_service: str | None
    auth_token_issuer: str | None
    auth_token_cert: Path | None
    auth_token_jwks: Path | None
    auth_anonymous_pull: bool | None
    trusted_proxy: list[str] | None
    connections: int | None
    connections_per_address: int | None
    head_seconds: int | None
    upload_seconds: int | None
    upload_rate: int | None
    publishes_per_collection: int | None
    publishes_per_user: int | None
    resign_seconds: int | None
    keep_seconds: int | None
    keep_events: int | None
    named_expiries: int | None
    max_collections: int | None
    subject_collections: int | None
    view_bytes: int | None
    log_level: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """The settings, and for each of them the source of its value, such as `--listen` or `default`."""

    settings: Settings
    sources: Mapping[str, str]


def load(given: GivenSettings, environ: Mapping[str, str], config: Path | None = None) -> Sourced:
    """Collect the settings from all sources and check each value.

    Raises: StartRefused, which names the option, variable or line of the file that is wrong.
    """
    # Files for `docker run --env-file` may have line ends of Windows, and the last byte of them stays.
    environ = {name: value.rstrip("\r\n") for name, value in environ.items() if name.startswith(ENVIRONMENT_PREFIX)}
    config_variable = environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    config = config or (Path(config_variable) if config_variable else None)
    file = _read_file(config) if config else {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, parse in _PARSERS.items():
        variable = ENVIRONMENT_PREFIX + name.upper()
        candidates = (
            (given.get(name), "--" + name.replace("_", "-")),
            (environ.get(variable), variable),
            (file.get(name), f"{name} in {config}"),
        )
        for value, source in candidates:
            if value is not None and value != []:  # an option that may be repeated gives an empty list
                values[name], sources[name] = parse(value, source), source
                break
        else:
            sources[name] = "default"
    # Variables with this prefix that name no setting are ignored: Kubernetes sets TRUST_SERVER_PORT and others for a
    # service that is called trust-server.
    return Sourced(settings=Settings(**values), sources=sources)


def as_toml(value: object) -> str:
    """Return the value of a setting as TOML; all that is no number or truth value is text.

    No setting is secret: a database URL with a password is refused before, since only SQLite is supported.
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, bool | int):
        return str(value).lower()
    return json.dumps(str(value)).replace("\x7f", "\\u007f")  # else TOML's escapes are those of JSON


def _read_file(path: Path) -> Mapping[str, object]:
    content = read_guarded_toml(path, limit=MAX_FILE)
    refuse_newer(KIND, content, path=str(path))
    if not KIND.is_known(content):
        raise StartRefused(what=str(path), reason="version must be a whole number from 1 on")
    values = {key.replace("-", "_"): value for key, value in content.items() if key != KIND.member}
    unknown = sorted(set(values) - set(_PARSERS))
    if unknown:
        raise StartRefused(what=str(path), reason=f"has settings that do not exist: {', '.join(unknown)}")
    return values


def _listen(value: object, source: str) -> Listen | UnixSocket:
    if str(value).startswith(_UNIX):
        return _unix_socket(str(value).removeprefix(_UNIX), source)
    host, colon, port = str(value).rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    if ":" in host and not in_brackets:  # fd00::9:1 is an address without a port, and would be read as another with one
        raise StartRefused(what=source, reason="an IPv6 address stands in brackets before its port: [::1]:4443")
    host = host[1:-1] if in_brackets else host
    if not colon or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        raise StartRefused(what=source, reason="must be HOST:PORT, such as 127.0.0.1:4443 or [::1]:4443, or unix:/PATH")
    if host == "localhost":
        return Listen(host="127.0.0.1", port=int(port))
    try:
        return Listen(host=str(ipaddress.ip_address(host)), port=int(port))
    except ValueError as error:
        raise StartRefused(what=source, reason="HOST must be an IP address or localhost") from error


def _unix_socket(path: str, source: str) -> UnixSocket:
    if not path.startswith("/") or not path.isprintable():
        raise StartRefused(what=source, reason="must be unix: and an absolute path, such as unix:/run/trust/trust.sock")
    size = len(os.fsencode(path))
    if size > LONGEST_SOCKET_PATH:
        raise StartRefused(
            what=source,
            reason=f"{path} has {size} bytes, and the path of a Unix socket has at most {LONGEST_SOCKET_PATH}",
        )
    return UnixSocket(path=Path(path))


def _path(value: object, source: str) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise StartRefused(what=source, reason="must be a path")
    return Path(value)


def _key_places(value: object, source: str) -> tuple[str, ...]:
    """Read the URIs of tokens, from a list or separated by blanks, and the word for the database."""
    texts = [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
    found = tuple(dict.fromkeys(" ".join(texts).split()))
    for text in found:
        if text == SEALED:
            continue
        try:
            names_key = text.lower().startswith(f"{PKCS11}:") and read_pkcs11_uri(text).names_key
        except KeysError as error:
            raise StartRefused(what=source, reason=str(error)) from error
        if not names_key:
            reason = f"must be {SEALED}, or pkcs11:token=...;object=NAME?module-path=..., the key of a token that wraps"
            raise StartRefused(what=source, reason=f"{reason} those of the server")
    return found


def _text(value: object, source: str) -> str:
    if not isinstance(value, str):
        raise StartRefused(what=source, reason="must be text")
    return value


def _token_word(value: object, source: str) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise StartRefused(what=source, reason="must be printable ASCII text")
    return value


def _header_name(value: object, source: str) -> str:
    text = str(value)
    if text and not _HEADER_NAME.fullmatch(text):
        raise StartRefused(what=source, reason="must be the name of a header, such as X-Client-Certificate")
    return text


def _realm(value: object, source: str) -> str:
    text = _token_word(value, source)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        loopback = Listen(host=host, port=parts.port or 0).is_local
    except ValueError:
        parts, host, loopback = urlsplit(""), "", False
    if not text:
        return ""
    if not host or parts.scheme not in {"http", "https"} or parts.fragment or parts.username is not None or " " in text:
        raise StartRefused(
            what=source, reason="must be the URL of a token server, such as https://auth.example.com/token"
        )
    if parts.scheme == "http" and not loopback:
        raise StartRefused(what=source, reason="must begin with https://, since people send it their passwords")
    return text


def _flag(value: object, source: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise StartRefused(what=source, reason="must be true or false")
    return text in _TRUE


def _count(minimum: int, maximum: int) -> Callable[[object, str], int]:
    def parse(value: object, source: str) -> int:
        text = str(value)
        is_number = not isinstance(value, bool) and text.isascii() and text.isdigit()
        if not is_number or not minimum <= int(text) <= maximum:
            raise StartRefused(what=source, reason=f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def _networks(value: object, source: str) -> tuple[Network, ...]:
    """Read addresses and networks, from a list or separated by commas."""
    texts = [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
    found = []
    for text in ",".join(texts).split(","):
        if not text.strip():
            continue
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError as error:
            raise StartRefused(
                what=source, reason=f"{text.strip()} is no address or network, such as 10.0.0.7 or 10.0.0.0/24"
            ) from error
        address = text.strip().partition("/")[0]
        if ipaddress.ip_address(address) != network.network_address:
            raise StartRefused(
                what=source, reason=f"{text.strip()} is one address of a network: {address} or {network}?"
            )
        found.append(network)
    return tuple(found)


def _level(value: object, source: str) -> str:
    level = str(value).lower()
    if level not in {"debug", "info", "warning", "error"}:
        raise StartRefused(what=source, reason="must be debug, info, warning or error")
    return level


_PARSERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "listen": _listen,
    "data": _path,
    "database": _text,
    "seal_key": _path,
    "next_seal_key": _path,
    "online_keys": _key_places,
    "platform_secrets": _flag,
    "witness": _path,
    "webhooks": _path,
    "tls_cert": _path,
    "tls_key": _path,
    "tls_client_ca": _path,
    "tls_client_crl": _path,
    "certificate_header": _header_name,
    "proxy_secret": _path,
    "proxy_certificate": _text,
    "self_signed": _flag,
    "workers": _count(1, 1024),
    "insecure_open": _flag,
    "access": _path,
    "auth_token_realm": _realm,
    "auth_token_service": _token_word,
    "auth_token_issuer": _token_word,
    "auth_token_cert": _path,
    "auth_token_jwks": _path,
    "auth_anonymous_pull": _flag,
    "trusted_proxy": _networks,
    "connections": _count(0, 1 << 20),
    "connections_per_address": _count(0, 1 << 20),
    "head_seconds": _count(1, 3600),
    "upload_seconds": _count(1, 3600),
    "upload_rate": _count(0, 1 << 30),
    "publishes_per_collection": _count(0, 1_000_000),
    "publishes_per_user": _count(0, 1_000_000),
    "resign_seconds": _count(0, 3600),
    "keep_seconds": _count(60, 31_536_000),
    "keep_events": _count(0, 1 << 40),
    "named_expiries": _count(0, 1000),
    "max_collections": _count(0, 1 << 40),
    "subject_collections": _count(0, 1 << 40),
    "view_bytes": _count(0, 1 << 40),
    "log_level": _level,
}

SETTING_NAMES: Final = tuple(field.name for field in fields(Settings))

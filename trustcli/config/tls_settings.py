"""The `[tls]` tables of `trust.toml`: certificates for single hosts, for trust servers and registries alike.

[tls."registry.example.com:5000"]         # host, and port if it is not 443
cacert = "ca.crt"                         # alone counts for this host; all relative to the settings file
cert = "client.cert"                      # shown to this host
key = "client.key"                        # its private key, if it is not in the same file
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.errors import SettingsUnusable
from trustdata.errors import shown

_SETTINGS: Final = ("cacert", "cert", "key")


@record
class HostTls:
    """The certificates for one host: a CA's, a client's and the file of its key; None if not set."""

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def parse_tls_tables(tables: object, *, file: Path) -> dict[str, HostTls]:
    """Return what is set by host (`host` or `host:port`, in lower case). Raises: SettingsUnusable."""
    if not isinstance(tables, dict):
        raise _unusable(file, "tls", "must be a table")
    found = {}
    for host, table in tables.items():
        key = f"tls.{shown(host)}"
        if not host or "/" in host or host != host.lower():
            raise _unusable(file, key, "must be HOST or HOST:PORT, in lower case")
        if not isinstance(table, dict):
            raise _unusable(file, key, "must be a table")
        for name, value in table.items():
            if name not in _SETTINGS:
                raise _unusable(
                    file, f"{key}.{shown(name)}", f"is not a setting; the settings are {', '.join(_SETTINGS)}"
                )
            if not isinstance(value, str) or not value:
                raise _unusable(file, f"{key}.{name}", "must be the path of a file")
        paths = {name: file.parent / value for name, value in table.items()}
        if "key" in paths and "cert" not in paths:
            raise _unusable(file, f"{key}.key", "needs a cert beside it")
        found[host] = HostTls(**paths)
    return found


def _unusable(file: Path, key: str, reason: str) -> SettingsUnusable:
    return SettingsUnusable(place=str(file), reason=f"{key} {reason}")

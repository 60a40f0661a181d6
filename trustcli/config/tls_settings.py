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
from trustcli.config.setting_checks import check_keys, path_beside, table_of, unusable
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
    found = {}
    for host, value in table_of(tables, file=file, key="tls").items():
        key = f"tls.{shown(host)}"
        if not host or "/" in host or host != host.lower():
            raise unusable(file, key, "must be HOST or HOST:PORT, in lower case")
        table = table_of(value, file=file, key=key)
        check_keys(table, _SETTINGS, file=file, key=key)
        paths = {name: path_beside(path, file=file, key=f"{key}.{name}") for name, path in table.items()}
        if "key" in paths and "cert" not in paths:
            raise unusable(file, f"{key}.key", "needs a cert beside it")
        found[host] = HostTls(**paths)
    return found

"""CA certificates and client certificates of single hosts: Docker's folders, and `[tls]` of trust.toml.

A folder is named for host and port, as `r.example:5000`; for port 443 also without it. In it, each `*.crt` is a CA, and
each `*.cert` a client certificate whose key is the `*.key` of the same name (docker's registry.ReadCertsDirectory).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keys.errors import KeyFileExposed
from keys.file_access import not_private
from trustcli.config.docker_config import docker_config_dir
from trustcli.errors import SettingsUnusable

if TYPE_CHECKING:
    from trustcli.config.tls_settings import HostTls
    from trustcli.http.messages import Origin


class HostCertificates:
    """What is there for one host. `docker_certs`: the folder of Docker's folders."""

    def __init__(
        self, origin: Origin, environ: Mapping[str, str], settings: Mapping[str, HostTls], *, docker_certs: Path
    ) -> None:
        names = dict.fromkeys((origin.host_port, origin.netloc))
        self.settings = next((settings[name] for name in names if name in settings), None)
        """What `[tls]` says of the host; None if nothing."""
        self.folders = [base / name for base in (docker_config_dir(environ) / "tls", docker_certs) for name in names]

    def client_certificates(self) -> list[tuple[Path, Path]]:
        """Return client certificates and their keys; those of `[tls]` alone, if it names one."""
        if self.settings is not None and self.settings.cert is not None:
            return [(self.settings.cert, self.settings.key or self.settings.cert)]
        found = [file for folder in self.folders for file in sorted(folder.glob("*.cert"))]
        return [(file, file.with_suffix(".key")) for file in found]

    def show(self, context: ssl.SSLContext) -> None:
        """Let a context show the client certificates. Raises: SettingsUnusable, KeyFileExposed."""
        for certificate, key in self.client_certificates():
            try:
                _check_private(key)
                context.load_cert_chain(certificate, key, password="")
            except (ssl.SSLError, OSError) as error:
                why = f": {error.strerror}" if not isinstance(error, ssl.SSLError) and error.strerror else ""
                reason = f"is no client certificate with its key {key.name}{why}"
                raise SettingsUnusable(place=str(certificate), reason=reason) from error


def _check_private(key: Path) -> None:
    exposed = not_private(key, key.stat(), group_may_read=True)
    if exposed is not None:
        raise KeyFileExposed(path=exposed.path, mode=exposed.mode, wanted=exposed.wanted, owner=exposed.owner)

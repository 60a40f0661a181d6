"""The one program of the build for machines without Python: it is what its file is called.

It decides by the name of its own file, which the system knows, and not by the name by which it was called, which is the
caller's to choose. A link of another name elsewhere is therefore the program that it leads to.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

LIBRARY_PATH: Final = "LD_LIBRARY_PATH"
OWN_AUTHORITIES: Final = ("/usr/lib/ssl/cert.pem", "/usr/lib/ssl/certs")
"""Where the OpenSSL of the build looks for CA certificates, as Debian has built it."""
AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, Amazon Linux, Bottlerocket
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL
    "/etc/ssl/cert.pem",  # Alpine without its package of certificates
)


def main() -> None:
    """Run the program that this file is called."""
    restore_environment()
    name_authorities()
    name = Path(sys.executable).name
    if name == "trust-image-verifier":
        from trustcli.hooks import containerd

        containerd.main()
    from trustcli import __main__ as trust

    if name == "docker-trust":
        trust.docker_trust()
    else:
        trust.main()


def restore_environment() -> None:
    """Take back what the loader of this build has set for itself.

    Credential helpers and container engines would otherwise be started with our libraries in place of their own.
    """
    before = os.environ.pop(f"{LIBRARY_PATH}_ORIG", None)
    os.environ.pop(LIBRARY_PATH, None)
    if before is not None:
        os.environ[LIBRARY_PATH] = before
    for name in [name for name in os.environ if name.startswith("_PYI_")]:
        del os.environ[name]


def name_authorities() -> None:
    """Name the system's CA certificates where they do not lie where OpenSSL was built to look. What is set stays."""
    if {"SSL_CERT_FILE", "SSL_CERT_DIR"} & set(os.environ) or any(map(os.path.exists, OWN_AUTHORITIES)):
        return
    found = next(filter(os.path.exists, AUTHORITIES), None)
    if found is not None:
        os.environ["SSL_CERT_FILE"] = found


if __name__ == "__main__":
    main()

"""Advice where a server's TLS certificate is not trusted here."""

from __future__ import annotations

import re
from typing import Final

from trustcli.console.address_advice import host_and_port

_OTHER_HOST: Final = "mismatch, certificate is not valid for"
"""What OpenSSL says of a certificate that is for other hosts: no CA would help."""
_NOT_NOW: Final = re.compile(r"certificate has expired|certificate is not yet valid")


def advice_certificate(remote: str, said: str) -> str:
    """Return what helps. `remote`: the server's address. `said`: the error's sentence, with OpenSSL's words.

    The certificate of a private CA is put somewhere for one command, or for this server for good.
    """
    if _OTHER_HOST in said:
        return f"use a name or address that the certificate is for; else ask the operator of {remote} for one for this"
    if _NOT_NOW.search(said):
        return f"set the clock here, if it is wrong; else tell the operator of {remote}"
    return (
        f"a private CA: --cacert FILE or TRUST_CACERT, or copy it to ~/.docker/tls/{host_and_port(remote)}/ca.crt "
        f"(where DOCKER_CONFIG is set: below that folder); else tell the operator of {remote}"
    )

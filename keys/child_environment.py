"""Make the environment of a program that is started: without the variables of passphrases and PINs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def without_passphrases(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables of passphrases and PINs, to start other programs with.

    A rule on names, not the list of what is read here: old releases of Docker have others, such as
    DOCKER_CONTENT_TRUST_OFFLINE_PASSPHRASE.
    """
    ours = ("TRUST_", "DOCKER_CONTENT_TRUST_")
    secret = ("PASSPHRASE", "TOKEN_PIN")
    return {
        name: value
        for name, value in environ.items()
        if not (name.upper().startswith(ours) and any(word in name.upper() for word in secret))
    }

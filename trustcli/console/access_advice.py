"""Advice for a user whom a server does not let in: another login, or somebody who grants the right."""

from __future__ import annotations

import re
from typing import Final

from trustcli.errors import OF_CERTIFICATE, RemoteRefused

ANONYMOUS: Final = "anonymous"
"""How a trust server calls whoever has shown no credential."""
_TOKEN_REFUSED: Final = "token-refused"  # noqa: S105 - a code of trust servers
_OF_REGISTRY: Final = "registry-token:"
"""How subjects begin to whom a token server, which the trust server believes, has given a token."""
_RIGHT: Final = re.compile(r"[a-z]{1,20}", re.ASCII)
_SUBJECT: Final = re.compile(r"[a-z-]+:[A-Za-z0-9._@/+-]{1,200}", re.ASCII)
"""Subjects that may stand in a command line which somebody copies; the server says who it is."""


def advice_no_access(error: RemoteRefused, *, login: str = "", trust: str = "trust") -> str:
    """Return what helps against a 401 or 403, "" if nothing does that is known here.

    `login`: the command with which one logs in here, if it is another one. `trust`: how the command line begins.
    """
    if error.server_code == _TOKEN_REFUSED:
        place = "an administrator of the trust server"
        compare = f"compare the job with what {place} has in its access file for it: issuer, audience and claims"
        return f"{compare}; each token counts once, for some minutes: for another one, start the job anew"
    if not error.login:
        return ""
    login = login or error.login
    name = error.about or "NAME"
    if not lacks_a_right(error):
        return _advice_unknown(error, login, name)
    subject, right = error.server_details.get("subject"), error.server_details["right"]
    whoami = f"{trust} whoami {name} says what you may do there"
    if subject == ANONYMOUS:
        return f"{login}, with an account that has the right {right}; {whoami}"
    if str(subject).startswith(_OF_REGISTRY):
        who = f"ask whoever runs the token server of {error.remote} for the right {right}"
        return f"{who}; {whoami}; as somebody else: {login}"
    explained = _SUBJECT.fullmatch(str(subject))
    there = f" (trust-server access explain {subject} {name} says there why)" if explained else ""
    who = f"ask an administrator of {error.remote} for the right {right}{there}"
    return f"{who}; {whoami}; as somebody else: {login}"


def _advice_unknown(error: RemoteRefused, login: str, name: str) -> str:
    """Return advice for a user whom the server does not accept at all, whatever the right."""
    if str(error.server_details.get("reason", "")).startswith(OF_CERTIFICATE):
        ask = f"ask an administrator of {error.remote} for a [[certificate]] of this subject in the access file"
        return f"{ask}; without this certificate: {login}"
    return f"{login}, with an account that may do this on {error.remote}; trust doctor {name} says what is wrong"


def lacks_a_right(error: RemoteRefused) -> bool:
    """Return whether the server says which right is missing."""
    return bool(_RIGHT.fullmatch(str(error.server_details.get("right", ""))))

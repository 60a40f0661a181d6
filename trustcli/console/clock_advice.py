"""Advice where a verdict depends on the time: the clock here may be the one that is wrong."""

from __future__ import annotations

from typing import Final

from trustdata.errors import CertificateNotValidNow, LivesTooLong, MetadataExpired

_JUDGED_BY_TIME: Final = frozenset(error.code for error in (CertificateNotValidNow, LivesTooLong, MetadataExpired))
_SEE: Final = "see that the clock here is right (trust doctor)"
ADVICE_TOO_LONG: Final = (
    f"{_SEE}, then tell the server's operator; a repository of others that is meant to be so: max_life in policy or "
    "trust.toml"
)
ADVICE_NOT_VALID_NOW: Final = f"{_SEE}; if it is, the publisher of {{gun}} must rotate its root key"


def advice_other_time(server_code: str) -> str:
    """Return what helps whose upload a server has judged by another time; "" if the refusal is about something else."""
    return f"{_SEE}, and then run the same command again" if server_code in _JUDGED_BY_TIME else ""

"""The Python API: verify, inspect, sign and initialise as the commands do, with values and exceptions in place of text.

    from trustcli.api import Trust

    verdict = Trust().verify_one("registry.example.com/team/app:1.0")
    if verdict:
        run(verdict.name)

What this module exports is promised (docs/reference/python-api.md). Every other module may change at any time.
"""

from __future__ import annotations

from keys.errors import KeysError
from trustcli.api.errors import NotAllSigned
from trustcli.api.trust import Trust
from trustcli.api.values import ExpiredRole, Initialised, Inspected, KeyHolder, Signed, SignedTag, Verdict
from trustcli.errors import UsageError
from trustdata.errors import TrustError

__all__ = [
    "ExpiredRole",
    "Initialised",
    "Inspected",
    "KeyHolder",
    "KeysError",
    "NotAllSigned",
    "Signed",
    "SignedTag",
    "Trust",
    "TrustError",
    "UsageError",
    "Verdict",
]

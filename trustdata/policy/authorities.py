"""Read the certification authorities (CA) of a policy, which its pins name as `ca:NAME` (docs/adr/0114).

Their certificates stand in the policy itself: whoever may change it says whom to believe, and its hash covers them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from trustdata.errors import PolicyMalformed, shown
from trustdata.suggestion import did_you_mean
from trustdata.verification.trust_pinning import AuthorityPin

MAX_BUNDLES: Final = 64
_MEMBERS: Final = ("certificates", "name")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def read_authorities(tables: Sequence[object], source: str) -> dict[str, AuthorityPin]:
    """Read the tables `[[ca]]`, and return their pins by name. `source`: the file. Raises: PolicyMalformed."""
    if len(tables) > MAX_BUNDLES:
        raise PolicyMalformed(source=source, path="ca", reason=f"holds more than {MAX_BUNDLES} tables")
    found: dict[str, AuthorityPin] = {}
    for index, table in enumerate(tables):
        pin = _read(table, f"ca[{index}]", source)
        if pin.name in found:
            raise PolicyMalformed(source=source, path=f"ca[{index}].name", reason=f"names {pin.name} a second time")
        found[pin.name] = pin
    return found


def _read(table: object, path: str, source: str) -> AuthorityPin:
    from keys import authorities  # only policies with a CA read certificates: start-up time

    if not isinstance(table, Mapping):
        raise PolicyMalformed(source=source, path=path, reason="must be a table")
    for member in table:
        if member not in _MEMBERS:
            why = did_you_mean(member, _MEMBERS) or f"; it may have {', '.join(_MEMBERS)}"
            raise PolicyMalformed(source=source, path=f"{path}.{member}", reason=f"is no member of a CA{why}")
    name, pem = table.get("name"), table.get("certificates")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        reason = "must be at most 64 of a-z 0-9 . _ -, the first a letter or digit"
        raise PolicyMalformed(source=source, path=f"{path}.name", reason=reason)
    if not isinstance(pem, str):
        reason = "must be the certificates of the CA in PEM, as one text"
        raise PolicyMalformed(source=source, path=f"{path}.certificates", reason=reason)
    try:
        return AuthorityPin.of(name, authorities.read_authorities(pem))
    except authorities.NotCertified as error:
        raise PolicyMalformed(source=source, path=f"{path}.certificates", reason=shown(str(error))) from error

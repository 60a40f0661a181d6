"""Whether a pinned certification authority (CA) vouches for a root, as `notary` asks with `trust_pinning.ca`.

Only pins by CA need this module, so only they import it: reading certificates costs start-up time (docs/adr/0114).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from keys.algorithms import bare_keyid
from keys.authorities import NotCertified, certified_until
from keys.keyid import short_keyid
from trustdata.envelope import Envelope
from trustdata.roles import ROOT
from trustdata.verification.checks import check_signatures
from trustdata.verification.delegations import role_keys

MAX_JUDGED: Final = 16
"""How many keys that have signed a root are judged; others count for nothing. Whoever serves a root chooses how many
there are, and what each costs."""
_CERTIFICATES_OF: Final = "-x509"


def root_certified_until(root: Envelope, authorities: Sequence[bytes], at: datetime) -> datetime:
    """Return until when the CAs (DER) vouch for as many keys that have signed a root as its own threshold asks for.

    Each public key counts once, by any of its certificates. `root`: verified. Whose collection it is, its certificates'
    common name, is judged elsewhere. Raises: NotCertified.
    """
    role = root.root.roles[ROOT]
    named = role_keys(root.root, ROOT)
    if not any(key.keytype.endswith(_CERTIFICATES_OF) for key in named.values()):
        raise NotCertified("its root keys have no certificates, as in every collection of TUF 1.0")
    signed = check_signatures(root.root, f"root version {root.version}", root)
    signers = {bare_keyid(root.root.get_key(keyid)) for keyid in signed}
    ends: dict[str, datetime] = {}
    faults: list[str] = []
    # One key may stand there in several certificates, such as an old one and that which follows it: any will do.
    keys = [key for key in named.values() if bare_keyid(key) in signers]
    for key in keys[:MAX_JUDGED]:
        try:
            until = certified_until(key, authorities=authorities, at=at)
        except NotCertified as error:
            faults.append(f"root key {short_keyid(key.keyid)}: {error}")
        else:
            bare = bare_keyid(key)
            ends[bare] = max(until, ends.get(bare, until))
    if len(ends) >= role.threshold:
        return sorted(ends.values(), reverse=True)[role.threshold - 1]
    if ends:
        raise NotCertified(f"{len(ends)} of the {role.threshold} root keys that it needs are certified; {faults[0]}")
    raise NotCertified(faults[0])

"""What `make bench` needs for the attackers of common pots: a collection of theirs, and the cost of a forged token."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tests.benchmarks.our_server import OurServer
from tests.benchmarks.table import Row
from tests.simulator.token_issuer import ISSUER, SERVICE, authority
from tests.support.attackers import Target
from tests.support.attackers.common_pots import forged, same_name
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import FORM, form
from trustdata.roles import ONLINE, TARGETS, RoleName
from trustserver.auth.token_keys import TokenKeys
from trustserver.auth.tokens import TokenVerifier
from trustserver.errors import TokenRefused

_DELEGATIONS: Final = 200
_TOKENS: Final = 200
_LOOP_BUDGET: Final = 5.0


def begin_for_attacker(server: OurServer) -> None:
    """Begin a Notary collection with many delegations, to which the attacker may publish. For plain HTTP."""
    gun = Target(host="", port=0).gun
    base = f"{server.url}/v2/{gun}/_trust/tuf/"
    owner = NotaryOwner(gun, at=datetime.now(UTC))
    for role in ONLINE:
        with urllib.request.urlopen(f"{base}{role}.key") as answer:
            owner.learn(role, json.loads(answer.read()))
    _post(base, owner.first_upload())
    delegations = [owner.add_delegation(f"targets/d{number}") for number in range(_DELEGATIONS)]
    _post(base, {TARGETS: owner.targets(), **{role: owner.targets(role) for role in delegations}})


def token_rows() -> list[Row]:
    """Measure what a token with eight certificates of the operator's name takes, all of it in one thread."""
    at, chain = datetime.now(UTC), same_name("root")
    verifier = TokenVerifier(TokenKeys([authority(at, name="root").certificate]), issuer=ISSUER, service=SERVICE)
    tokens = [forged(chain, ISSUER, SERVICE, number).encode() for number in range(_TOKENS)]
    began = time.perf_counter()
    refused = sum(_is_refused(verifier, token, at) for token in tokens)
    spent = (time.perf_counter() - began) / refused * 1e3
    return [Row(what="forged token of 8 certificates", ours=spent, peer=_LOOP_BUDGET, unit="ms", wanted=1.0)]


def _is_refused(verifier: TokenVerifier, token: bytes, at: datetime) -> bool:
    try:
        verifier.verify(token, at)
    except TokenRefused:
        return True
    return False


def _post(url: str, files: Mapping[RoleName, bytes]) -> None:
    body = form([(str(role), raw) for role, raw in files.items()])
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers={"Content-Type": FORM})):
        pass

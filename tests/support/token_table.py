"""Odd registry tokens, and what is said to them: by Notary's server, by RFC 7519 and 7515, and by ours.

`ours` is decided in docs/adr/0065; `go` is what Debian's notary-server 0.7 does, which tests/peers measures. The table
in docs/guides/operate-server.md has a line for each row.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.simulator.token_issuer import Certified, PrivateKey, access, claims, signature_of, token

INFINITE: Final = "INFINITE"
"""Stands for a number that JSON can write and no double can hold."""
ANOTHER: Final = "registry.example.com"


@dataclass(frozen=True, kw_only=True)
class OddToken:
    """One row. `claims`: those that differ; `{service}` in them is the server's name. `times`: seconds after now.


    `padded`: which of the three parts has its `=`. `alg`: signed by an
    RSA key, with this algorithm. `scoped`: whether it names the repository that is asked for. `ping`: it is brought to
    `/v2/` and not to a file. `go`, `ours`: whether the token is taken; `rfc`: whether it is one by the two RFCs.
    """

    name: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    padded: str = ""
    alg: str = ""
    scoped: bool = True
    ping: bool = False
    rfc: bool
    go: bool
    ours: bool

    def made(self, signer: Certified, at: datetime, *, issuer: str, service: str, gun: str, **header: Any) -> str:
        """The token, signed."""
        others = json.loads(json.dumps(dict(self.claims)).replace("{service}", service))
        seconds = int(at.timestamp())
        moved = {name: seconds + by for name, by in self.times.items()}
        entries = [access(gun, "pull")] if self.scoped else []
        said = claims(at, *entries, **{"iss": issuer, "aud": service, **others, **moved})
        if not self.padded:
            text = json.dumps(said).replace(f'"{INFINITE}"', "1e400").encode()
            return token(signer.key, text, alg=self.alg, **header)
        return _padded(signer.key, said, self.padded, header)


def _padded(key: PrivateKey, said: Mapping[str, Any], which: str, header: Mapping[str, Any]) -> str:
    """A token of which one part is written with the `=` that base64 has at its end; it is made so long that it has."""

    def part(content: bytes, name: str) -> str:
        text = base64.urlsafe_b64encode(content).decode()
        if name != which:
            return text.rstrip("=")
        assert text.endswith("=")
        return text

    def of_odd_length(value: Mapping[str, Any]) -> bytes:
        text = json.dumps(value)
        return (text + " " * (1 - len(text) % 3)).encode() if len(text) % 3 == 0 else text.encode()

    head = part(of_odd_length({"typ": "JWT", "alg": "ES256", **header}), "header")
    body = part(of_odd_length(said), "payload")
    return f"{head}.{body}.{part(signature_of(key, f'{head}.{body}'.encode(), 'ES256'), 'signature')}"


def _row(name: str, *, rfc: bool, go: bool, ours: bool, **more: Any) -> OddToken:
    return OddToken(name=name, rfc=rfc, go=go, ours=ours, **more)


TABLE: Final = (
    _row("aud is our name", rfc=True, go=True, ours=True),
    _row("aud is a list of our name alone", claims={"aud": ["{service}"]}, rfc=True, go=False, ours=True),
    _row("aud is our name twice", claims={"aud": ["{service}", "{service}"]}, rfc=True, go=False, ours=False),
    _row(
        "aud is a list of our name and another", claims={"aud": ["{service}", ANOTHER]}, rfc=True, go=False, ours=False
    ),
    _row("aud is a list of another name", claims={"aud": [ANOTHER]}, rfc=False, go=False, ours=False),
    _row("aud is an empty list", claims={"aud": []}, rfc=False, go=False, ours=False),
    _row("exp has a fraction", times={"exp": 300.5}, rfc=True, go=False, ours=True),
    _row("nbf and iat have fractions", times={"nbf": -10.25, "iat": -0.5}, rfc=True, go=False, ours=True),
    _row("exp is a text of digits", claims={"exp": "4102444800"}, rfc=False, go=False, ours=False),
    _row("exp is true", claims={"exp": True}, rfc=False, go=False, ours=False),
    _row("nbf is true", claims={"nbf": True}, rfc=False, go=False, ours=False),
    _row("exp is 1e400", claims={"exp": INFINITE}, rfc=False, go=False, ours=False),
    _row("iat is an hour ahead", times={"iat": 3600}, rfc=True, go=True, ours=False),
    _row("iat is within the leeway", times={"iat": 30}, rfc=True, go=True, ours=True),
    _row("PS256", alg="PS256", rfc=True, go=False, ours=True),
    _row("= at the end of the header", padded="header", rfc=False, go=True, ours=False),
    _row("= at the end of the payload", padded="payload", rfc=False, go=True, ours=False),
    _row("= at the end of the signature", padded="signature", rfc=False, go=True, ours=False),
    _row("no access to what is asked for", scoped=False, rfc=True, go=False, ours=False),
    _row("no access at all, at /v2/", scoped=False, ping=True, rfc=True, go=False, ours=True),
)

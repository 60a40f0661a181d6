"""Read the challenges with which a server asks for credentials. Source: RFC 9110, 11.6.1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=[\s,]|$)", re.ASCII)
_PARAMETER = re.compile(rf"[\s,]*({_WORD})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD}))", re.ASCII)
_TOKEN68 = re.compile(r"\s*[A-Za-z0-9._~+/-]+=*\s*(?=,|$)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way of authentication that a server offers. `scheme` and the names of parameters are lower-case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Sequence[str]) -> tuple[Challenge, ...]:
    """Return all challenges of WWW-Authenticate headers, in order. A header is read up to what cannot be understood."""
    found: list[Challenge] = []
    for value in values:
        place = 0
        while match := _SCHEME.match(value, place):
            place = match.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(value, place):
                name, quoted, bare = parameter.groups()
                parameters.setdefault(name.lower(), bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
                place = parameter.end()
            token68 = _TOKEN68.match(value, place) if not parameters else None
            if token68 and token68.group().strip():
                place = token68.end()
            found.append(Challenge(scheme=match.group(1).lower(), parameters=parameters))
    return tuple(found)

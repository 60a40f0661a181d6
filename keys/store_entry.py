"""Entries of the key store for keys that live elsewhere: in a token, behind a command, in a file on a stick.

    {"format": "content-trust-key-2", "info": the members of KeyInfo.to_dict, "uri": "pkcs11:...", "retired": false}

Nothing in it is secret, and nothing is authenticated: who may write to the key store may name another key, whose
signatures count nowhere, or another program for it, as in any start-up file of the user. So an entry is only
ever read in the key store, which is its user's alone; one from elsewhere is not taken in.

It is version 2 of a sealed key (`keys.sealed_file`): a program that knows version 1 alone must not take the key for
one that is lost, nor make another (docs/adr/0072).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from keys.errors import KeyFileMalformed
from keys.foreign_files import SEALED
from keys.key_info import KeyInfo

FORMAT: Final = f"{SEALED}2"
MAX_URI: Final = 4096
"""Characters of a key URI: as many as a path may have."""
_MEMBERS: Final = {"format", "info", "uri", "retired"}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII)


def write_entry(info: KeyInfo) -> bytes:
    """Return the content of an entry. Raises: KeyFileMalformed if `info` names no place, or none that can be stored."""
    uri = _checked(info.uri, place=info.described)
    document = {"format": FORMAT, "info": info.to_dict(), "uri": uri, "retired": info.retired}
    return json.dumps(document, indent=1).encode() + b"\n"


def read_entry(document: Mapping[str, Any], *, place: str) -> KeyInfo:
    """Return the key that a parsed entry describes. `place`: its file. Raises: KeyFileMalformed, KeyNotAccepted."""
    if set(document) != _MEMBERS or not isinstance(document["info"], dict):
        raise KeyFileMalformed(place=place, reason="the entry does not have the members that it should")
    if type(document["retired"]) is not bool:
        raise KeyFileMalformed(place=place, reason="retired is neither true nor false")
    uri = _checked(document["uri"], place=place)
    return KeyInfo.from_dict(document["info"], retired=document["retired"], place=place, uri=uri)


def _checked(uri: object, *, place: str) -> str:
    if not isinstance(uri, str) or len(uri) > MAX_URI or not uri.isprintable() or not _SCHEME.match(uri):
        raise KeyFileMalformed(place=place, reason="it names no place where its key would be")
    return uri

"""Show a key of the store: as a line of the list, and as a row of JSON documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from keys.key_info import PURPOSES, KeyInfo
from keys.notary import notary_key
from keys.uris.uri import shown_uri
from trustcli.commands.key.key_uses import KeyUses
from trustdata.errors import shown

_HEADER: Final = f"{'KEY ID':<64}\tPURPOSE\tALGORITHM\tNAME OR COLLECTION\tMAY SIGN\tLAST SIGNED HERE"


def lines(infos: Iterable[KeyInfo], uses: KeyUses) -> Iterator[str]:
    """Return the list for people: a header, then the keys in use before the retired ones, each from root to signers."""
    ordered = sorted(infos, key=lambda k: (k.retired, PURPOSES.index(k.purpose), k.name, k.gun, k.keyid))
    if ordered:
        yield _HEADER
    for info in ordered:
        retired = "\tretired" if info.retired else ""
        elsewhere = f"\tat {shown_uri(info.uri)}" if info.uri else ""
        name = shown(info.name or info.gun or "-")
        told = "\t".join((info.keyid, info.purpose, str(info.algorithm), name, *uses.columns(info.public)))
        yield f"{told}{retired}{elsewhere}"


def row(info: KeyInfo) -> dict[str, object]:
    """Return what documents say of a key. `keyid` is its id in TUF 1.0, `notary_keyid` that in Notary v1.

    `uri`: where its private part lives, None if that is the store.
    """
    return {
        "keyid": info.keyid,
        "notary_keyid": notary_key(info.public).keyid,
        "purpose": info.purpose,
        "algorithm": str(info.algorithm),
        "name": info.name,
        "gun": info.gun,
        "retired": info.retired,
        "uri": info.uri or None,
    }

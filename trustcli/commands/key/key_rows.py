"""What is said of a key of the store: its row in lists and documents, and the collections in which it is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from securesystemslib.signer import Key

from keys.algorithms import key_fingerprint, matching_keyids
from keys.key_info import PURPOSES, KeyInfo
from keys.notary import notary_key
from keys.uris.uri import shown_uri
from trustcli.session import Session
from trustdata.errors import MalformedMetadata, shown
from trustdata.gun import GUN
from trustdata.roles import ROOT, TARGETS
from trustdata.wire.formats import wire_named

_HEADER: Final = f"{'KEY ID':<64}\tPURPOSE\tALGORITHM\tNAME OR COLLECTION"


def lines(infos: Iterable[KeyInfo]) -> Iterator[str]:
    """Return the list for people: a header, then the keys in use before the retired ones, each from root to signers."""
    ordered = sorted(infos, key=lambda k: (k.retired, PURPOSES.index(k.purpose), k.name, k.gun, k.keyid))
    if ordered:
        yield _HEADER
    for info in ordered:
        retired = "\tretired" if info.retired else ""
        elsewhere = f"\tat {shown_uri(info.uri)}" if info.uri else ""
        name = shown(info.name or info.gun or "-")
        yield f"{info.keyid}\t{info.purpose}\t{info.algorithm}\t{name}{retired}{elsewhere}"


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


def uses(session: Session, public: Key) -> dict[GUN, list[str]]:
    """Return in which pinned collections a key is a root or targets key, with these roles, as far as is known here.

    Known are the newest roots in the cache; a damaged one is passed over. Raises: SettingsUnusable.
    """
    found: dict[GUN, list[str]] = {}
    for gun, entry in sorted(session.pins.load().items()):
        wire = wire_named(entry.format)
        roots = session.cache(entry.named or gun, wire.name).roots()
        try:
            root = wire.parse(ROOT, roots[-1]).root if roots else None
        except MalformedMetadata:
            continue
        if root is None:
            continue
        keyids = matching_keyids(root.keys, [key_fingerprint(public)])
        roles = [str(role) for role in (ROOT, TARGETS) if keyids & set(root.roles[role].keyids)]
        if roles:
            found[gun] = roles
    return found

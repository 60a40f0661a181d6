"""A TRUST_HOME that knows collections: pins, memory, cached metadata and keys, without any server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keys.algorithms import Algorithm, generate
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo
from tests.support.cheap_keys import CHEAP
from trustcli.client.file_cache import FileCache
from trustcli.state.pins import PinEntry, PinsFile
from trustdata.gun import GUN, parse_gun
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.trust_pinning import parse_pin
from trustdata.wire.format_names import TUF_1_0

APP: Final = parse_gun("registry.example.com:5000/team/app")
AT: Final = datetime(2026, 1, 2, tzinfo=UTC)
_PIN: Final = parse_pin(f"sha256:{'ab' * 32}")


def pin(home: Path, *guns: GUN, named: GUN | None = None) -> None:
    """Pin collections."""
    for gun in guns:
        PinsFile(home / "pins.toml").record(
            gun, PinEntry(pin=_PIN, format=TUF_1_0, recorded=AT, how="pin", named=named)
        )


def cached(home: Path, gun: GUN, tags: Iterable[str], *, signers: Iterable[str] = ()) -> None:
    """Put metadata of a collection into the cache, as far as suggestions read it. Nothing of it is signed."""
    roles = [{"name": RELEASES}, *({"name": f"targets/{signer}"} for signer in signers)]
    store(home, gun, TARGETS, json.dumps({"signed": {"targets": {}, "delegations": {"roles": roles}}}).encode())
    store(home, gun, RELEASES, json.dumps({"signed": {"targets": {tag: {} for tag in tags}}}).encode())


def store(home: Path, gun: GUN, role: RoleName, raw: bytes) -> None:
    """Put any bytes into the cache."""
    FileCache(home / "cache", format_name=TUF_1_0, gun=gun).store(role, raw)


def key(home: Path, name: str) -> str:
    """Put a signer's key into the store; its id."""
    private = generate(Algorithm.ED25519)
    info = KeyInfo.of(private, purpose="signer", name=name, created=AT)
    FileKeyStore(home / "private", cost=CHEAP).add(private, info, "a passphrase")
    return info.keyid

"""What this machine knows already: names, tags, signers, keys and servers, from its own files alone.

No server is asked and nothing is written. The cache is read as it lies there, and nothing of it is verified: a
suggestion decides nothing, and the command that is typed with it verifies everything again. A file that is missing or
damaged suggests nothing; the command itself says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote

from keys.errors import KeysError
from keys.keyid import short_keyid
from trustcli.client.file_cache import FileCache
from trustcli.config.settings import Settings
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinsFile
from trustdata import bounded_json
from trustdata.errors import TrustError
from trustdata.gun import GUN, are_tags
from trustdata.hosts import DOCKER_HUB
from trustdata.limits import MAX_VALUES
from trustdata.roles import RELEASES, TARGETS, is_delegated, signer_name, signer_role
from trustdata.wire.format_names import FORMAT_NAMES

UNREADABLE: Final = (TrustError, KeysError, UsageError, OSError, ValueError)
"""What the readers of our files raise if a file is damaged, exposed, or cannot be read."""
_MOST_COLLECTIONS: Final = 50
"""So many are looked at for their signers, if none is named."""


class KnownHere:
    """The state of one machine, read for suggestions. No method raises because of a file."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = settings.memory_folder / "cache"

    def names(self) -> set[str]:
        """Return the names of collections that are pinned, remembered or cached, as users type them."""
        found = {*self._pinned, *self._remembered(), *self._cached()}
        short = {gun.removeprefix(f"{DOCKER_HUB}/").removeprefix("library/") for gun in found}
        return found | short

    def tags(self, name: str) -> set[str]:
        """Return the tags in the cached metadata of the collection, which may be old."""
        gun = self._gun(name)
        return {
            tag
            for cache in (self._caches(gun) if gun else ())
            for role in (TARGETS, RELEASES)
            for tag in _member(self._signed(cache, role), "targets")
            if are_tags([tag])
        }

    def signers(self, names: Sequence[str]) -> set[str]:
        """Return the signers of these collections, or of all that are known, and those whose keys are here."""
        named = [gun for gun in map(self._gun, names) if gun]
        collections = named or sorted({*self._pinned, *self._cached()})[:_MOST_COLLECTIONS]
        found = {key.name for key in self._keys() if key.purpose == "signer"}
        for gun in collections:
            for cache in self._caches(gun):
                roles = _member(self._signed(cache, TARGETS), "delegations").get("roles")
                found |= {
                    signer_name(name)
                    for role in (roles if isinstance(roles, list) else ())
                    if isinstance(role, dict) and isinstance(name := role.get("name"), str) and is_delegated(name)
                }
        return {name for name in found if _is_signer(name)}

    def keys(self) -> set[str]:
        """Return the names of the keys in the store and the first digits of their ids."""
        keys = self._keys()
        return {word for key in keys for word in (key.name, short_keyid(key.keyid)) if word}

    def servers(self) -> set[str]:
        """Return the trust servers of the settings."""
        return {server for server in (self._settings.server, *self._settings.servers.values()) if server}

    @cached_property
    def _pinned(self) -> dict[GUN, GUN]:
        """The pinned names, each with the real name of its collection."""
        try:
            pins = PinsFile(self._settings.home / "pins.toml").load()
        except UNREADABLE:
            return {}
        return {gun: entry.named or gun for gun, entry in pins.items()}

    def _remembered(self) -> Sequence[GUN]:
        try:
            return MemoryFile(self._settings.memory_folder / "seen.json").names()
        except UNREADABLE:
            return ()

    def _cached(self) -> Iterator[GUN]:
        for format_name in FORMAT_NAMES:
            try:
                yield from (GUN(unquote(folder.name)) for folder in (self._cache / format_name).iterdir())
            except OSError:
                continue

    def _gun(self, name: str) -> GUN | None:
        try:
            gun = parse_reference(name).gun
        except TrustError:
            return None
        return self._pinned.get(gun, gun)

    def _caches(self, gun: GUN) -> Iterator[FileCache]:
        return (FileCache(self._cache, format_name=name, gun=gun) for name in FORMAT_NAMES)

    def _signed(self, cache: FileCache, role: Any) -> dict[str, Any]:
        try:
            return _member(bounded_json.loads(cache.load(role) or b"", values=MAX_VALUES), "signed")
        except ValueError:
            return {}

    def _keys(self) -> Sequence[Any]:
        from keys.filestore import FileKeyStore  # start-up time: most lines ask for no key

        try:
            return FileKeyStore(self._settings.home / "private").list()
        except UNREADABLE:
            return ()


def _member(document: Any, name: str) -> dict[str, Any]:
    """Return an object within an object; nothing has checked either."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _is_signer(name: str) -> bool:
    try:
        signer_role(name)
    except TrustError:
        return False
    return True

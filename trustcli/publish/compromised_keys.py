"""Keys that were removed as compromised: no publish puts one in place, and one signs only the root that takes it out.

Every upload and every plan is prepared under this rule (`trustcli.publish.preparation`), whatever its command has
looked at before. A role that names such a key already may be signed again by other keys: it has still to be cleaned up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from keys.algorithms import accepted_fingerprints, matching_keyids
from keys.keyid import short_keyid
from trustcli.errors import KeyCompromised
from trustdata.editing.repository_editor import Contents
from trustdata.envelope import Envelope
from trustdata.model import Content, Key, Root, Targets
from trustdata.roles import ROOT, RoleName

Compromised: TypeAlias = Mapping[str, str]
"""By fingerprint, since when a key is known to be compromised, as text."""
NONE_KNOWN: Final[Compromised] = MappingProxyType({})
_SIGNS_NO_MORE: Final = "it signs nothing but the root that takes it out"


def check_none_returns(roles: Mapping[RoleName, Envelope], contents: Contents, compromised: Compromised) -> None:
    """Refuse contents that name a compromised key for a role that does not have it now. Raises: KeyCompromised."""
    for name, content in contents.items() if compromised else ():
        before = dict(_named(roles[name].content)) if name in roles else {}
        for role, keys in _named(content):
            for fingerprint in sorted((keys.keys() & compromised.keys()) - before.get(role, {}).keys()):
                raise _refusal(keys[fingerprint], compromised[fingerprint])


class Barred:
    """The keys that must not sign in one publish."""

    def __init__(self, contents: Contents, keys_by_id: Mapping[str, Key], compromised: Compromised) -> None:
        self._contents = contents
        self._keys_by_id = keys_by_id
        self._compromised = compromised

    def ids(self, role: RoleName) -> frozenset[str]:
        """Return the ids of the keys that must not sign a role. What a root takes out may sign that root."""
        content, found = self._contents.get(role), set(self._compromised)
        if role == ROOT and isinstance(content, Root) and found:
            found.intersection_update(_fingerprints(content.keys, content.roles[ROOT].keyids))
        return matching_keyids(self._keys_by_id, found) if found else frozenset()

    def check_enough(self, usable: Sequence[str], here: Iterable[str], role: RoleName, threshold: int) -> None:
        """Say so if keys are too few because one is barred. Raises: KeyCompromised.

        `usable`: the ids of keys that may sign. `here`: of all that are here, and named.
        """
        others = sorted(self.ids(role).intersection(here)) if len(usable) < threshold else []
        if others:
            (fingerprint,) = accepted_fingerprints([self._keys_by_id[others[0]]])
            raise _refusal(others[0], self._compromised[fingerprint], _SIGNS_NO_MORE)


def _named(content: Content) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each role that a file names, with the ids of its keys by fingerprint."""
    if isinstance(content, Root):
        for name, role in content.roles.items():
            yield name, _fingerprints(content.keys, role.keyids)
    elif isinstance(content, Targets) and content.delegations is not None:
        keys, bins = content.delegations.keys, content.delegations.succinct_roles
        for name, delegated in (content.delegations.roles or {}).items():
            yield name, _fingerprints(keys, delegated.keyids)
        if bins is not None:
            yield "", _fingerprints(keys, bins.keyids)


def _fingerprints(keys: Mapping[str, Key], keyids: Iterable[str]) -> dict[str, str]:
    return {found: keyid for keyid in keyids if keyid in keys for found in accepted_fingerprints([keys[keyid]])}


def _refusal(keyid: str, since: str, rule: str = KeyCompromised.rule) -> KeyCompromised:
    return KeyCompromised(key=f"the key {short_keyid(keyid)}", since=since, rule=rule)

"""Say which collection a name stands for: another one by an alias in `pins.toml`, or in this machine's policy.

Both are files of this machine: no server, registry or distributed policy makes an alias. One look must tell whose root
is asked for. So an alias of an alias is refused, and so are two aliases that disagree, whichever files they stand in.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keys.record import record
from trustcli.errors import SettingsUnusable
from trustdata.errors import PolicyMalformed

if TYPE_CHECKING:
    from trustcli.state.pins import PinsFile
    from trustdata.gun import GUN
    from trustdata.policy import Alias, Policy


@record
class NamedCollection:
    """What a name stands for. `asked`: the name. `real`: that of the collection.

    `pinned`: whose entries of `pins.toml` count: an alias in that file has a pin of its own, one of a policy has none.
    `declared_in`: the file with the alias, "" if the name is no alias.
    """

    asked: GUN
    real: GUN
    pinned: GUN
    declared_in: str = ""

    @property
    def is_alias(self) -> bool:
        """Whether the collection has another name."""
        return self.asked != self.real


class CollectionNames:
    """The aliases of this machine. `policy`: the file of `[verifier] policy`, which need not exist yet."""

    def __init__(self, pins: PinsFile, policy: Path | None) -> None:
        self._pins = pins
        self._file = policy

    def named(self, gun: GUN, *, by_policy: bool = True) -> NamedCollection:
        """Return what a name stands for. `by_policy=False`: a policy has said so already, of itself or of `gun`.

        Raises: SettingsUnusable (`pins.toml` cannot be read, or aliases contradict each other), PolicyMalformed,
        FileNewer, FileExposed.
        """
        policy = self._policy if by_policy else None
        real = self._pins.real_name(gun)
        trust = gun if policy is None else policy.trust_name(gun)
        if policy is not None and gun != real:
            self._check(policy, gun, real)
        if trust == gun:
            return NamedCollection(
                asked=gun, real=real, pinned=gun, declared_in=self._pins.place if real != gun else ""
            )
        if (other := self._pins.real_name(trust)) != trust:
            raise self._chain(gun, trust, other, str(self._file), self._pins.place)
        pinned = gun if real == trust else trust
        return NamedCollection(asked=gun, real=trust, pinned=pinned, declared_in=str(self._file))

    @property
    def aliases(self) -> tuple[Alias, ...]:
        """The aliases of the machine's policy. Raises: PolicyMalformed, FileNewer, FileExposed."""
        return self._policy.aliases if self._policy is not None else ()

    def check(self, policy: Policy) -> None:
        """Check that no alias of a policy contradicts one in `pins.toml`. Raises: SettingsUnusable, FileNewer."""
        if policy.aliases:
            for gun, entry in self._pins.load().items():
                if entry.named is not None:
                    self._check_both_ways(policy, gun, entry.named)

    def check_new(self, gun: GUN, real: GUN) -> None:
        """Check an alias that `pins.toml` is to get against the machine's policy.

        Raises: SettingsUnusable, PolicyMalformed, FileNewer, FileExposed.
        """
        if self._policy is not None:
            self._check_both_ways(self._policy, gun, real)

    def _check_both_ways(self, policy: Policy, gun: GUN, real: GUN) -> None:
        from trustdata.collection_patterns import pattern_matches

        self._check(policy, gun, real)
        for alias in policy.aliases:
            if pattern_matches(alias.trust, gun):
                raise self._chain(alias.name, alias.trust, real, policy.source, self._pins.place)

    def _check(self, policy: Policy, gun: GUN, real: GUN) -> None:
        """Check an alias in `pins.toml` against a policy. Raises: SettingsUnusable."""
        trust = policy.trust_name(gun)
        if trust not in {gun, real}:
            reason = f"makes {gun} an alias of {real}, and {policy.source} one of {trust}; one of them must go"
            raise SettingsUnusable(place=self._pins.place, reason=reason)
        if (other := policy.trust_name(real)) != real:
            raise self._chain(gun, real, other, self._pins.place, policy.source)

    def _chain(self, name: str, alias_of: str, real: str, one: str, other: str) -> SettingsUnusable:
        reason = f"makes {name} an alias of {alias_of}, which is, or holds, an alias of {real} by {other}; name {real}"
        return SettingsUnusable(place=one, reason=reason)

    @cached_property
    def _policy(self) -> Policy | None:
        """The machine's policy, for its aliases; None if there is no such file, and so no alias.

        Raises: PolicyMalformed, FileNewer, FileExposed.
        """
        if self._file is None:
            return None
        from trustcli.client.policy_file import load_policy  # most machines that sign have none: start-up time

        try:
            return load_policy(self._file)
        except PolicyMalformed as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

"""Limit the connections, in all and for each client address, and choose which one ends when there is no room.

A newcomer is let in where that is possible: a connection that waits for its client ends for it, first of those of the
address that has the most. So whoever opens many connections loses them, and nobody else does. Every step takes the
same time, however many connections there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from trustdata.hosts import address_group

SHARE: Final = 4
"""By default one address may have this fraction of all connections: a quarter."""


class _Group:
    """The connections of one address. Of both kinds the first has waited, or been busy, the longest."""

    def __init__(self, name: str, *, shares: bool) -> None:
        self.name = name
        self.shares = shares
        self.waiting: OrderedDict[Place, None] = OrderedDict()
        self.busy: OrderedDict[Place, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.waiting) + len(self.busy)


class Place:
    """The place of one connection among all. `heard`: set it whenever the client has asked something."""

    __slots__ = ("_limits", "end", "group", "heard")

    def __init__(self, limits: ConnectionLimits, group: _Group, end: Callable[[], None]) -> None:
        self._limits = limits
        self.group = group
        self.end = end
        self.heard = False

    def busy(self) -> None:
        """Note that a request of this client is being answered."""
        self._limits.move(self, busy=True)

    def idle(self) -> None:
        """Note that this connection waits for its client."""
        self._limits.move(self, busy=False)

    def leave(self) -> None:
        """Give the place back; doing so twice is allowed."""
        self._limits.remove(self)


class ConnectionLimits:
    """Counts connections on one event loop. `total`: how many there may be; `share`: how many for one address.

    `is_trusted`: whether an address is that of a proxy, which has no share of its own, because many clients are behind
    it.
    """

    def __init__(self, *, total: int, share: int, is_trusted: Callable[[str], bool] = lambda _: False) -> None:
        self.total = total
        self.share = share
        self.count = 0
        self.refused = 0
        """How many newcomers were turned away."""
        self.ended = 0
        """How many connections ended to make room for a newcomer."""
        self._is_trusted = is_trusted
        self._groups: dict[str, _Group] = {}
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        self._by_size: dict[int, OrderedDict[_Group, None]] = {}
        self._largest = 0

    def of_same_addresses(self, *, total: int, share: int) -> ConnectionLimits:
        """Return other limits, with the same proxies."""
        return ConnectionLimits(total=total, share=share, is_trusted=self._is_trusted)

    def admit(self, address: str, end: Callable[[], None], *, is_room: bool = True) -> Place | None:
        """Count a new connection, and end another one for it if need be. Return None if it must be refused.

        `end`: closes the connection at once; it is called at most once, and the place is given back before.
        `is_room`: False if the process can open no further file, whatever the limits say: one connection ends then.
        """
        name = address_group(address)
        group = self._groups.get(name) or _Group(name, shares=not self._is_trusted(address))
        if group.shares and len(group) >= self.share:
            made_room = self._end(self._longest_waiting(group.waiting))
        elif self.count >= self.total or not is_room:
            made_room = self._end(self._least_missed(group))
        else:
            made_room = True
        if not made_room:
            self.refused += 1
            return None
        place = Place(self, group, end)
        self._groups[name] = group
        self._resize(group, lambda: group.waiting.update({place: None}))
        self._waiting[place] = None
        self.count += 1
        return place

    def move(self, place: Place, *, busy: bool) -> None:
        """Note whether a request of this connection is being answered. It becomes the last to end of its kind."""
        group = place.group
        if place not in self._waiting and place not in group.busy:
            return  # it has ended
        if busy:
            group.waiting.pop(place, None)
            self._waiting.pop(place, None)
            group.busy[place] = None
        else:
            group.busy.pop(place, None)
            for waiting in (group.waiting, self._waiting):
                waiting[place] = None
                waiting.move_to_end(place)

    def remove(self, place: Place) -> None:
        """Forget a connection."""
        group = place.group
        if place not in self._waiting and place not in group.busy:
            return

        def forget() -> None:
            group.waiting.pop(place, None)
            group.busy.pop(place, None)

        self._resize(group, forget)
        self._waiting.pop(place, None)
        self.count -= 1
        if not len(group):
            del self._groups[group.name]

    def _resize(self, group: _Group, change: Callable[[], None]) -> None:
        """Change a group, and keep it among the groups of its new size."""
        before = len(group)
        change()
        if not group.shares:
            return
        if before:
            same = self._by_size[before]
            del same[group]
            if not same:
                del self._by_size[before]
        if after := len(group):
            self._by_size.setdefault(after, OrderedDict())[group] = None
        # A group changes by one, so the largest size does, too.
        self._largest = max(self._largest, after)
        if self._largest and self._largest not in self._by_size:
            self._largest -= 1

    def _least_missed(self, newcomer: _Group) -> Place | None:
        """Return the connection that should end for a newcomer, if any.

        One that waits, of the address that has the most; else one that waits, of whomever; else the one that has been
        busy for the longest, of an address that has more than the newcomer's would have.
        """
        largest = next(iter(self._by_size[self._largest])) if self._largest else None
        chosen = self._longest_waiting(largest.waiting) if largest is not None else None
        if chosen is None:
            chosen = self._longest_waiting(self._waiting)
        if chosen is None and largest is not None and len(largest) > len(newcomer) + 1:
            chosen = next(iter(largest.busy))
        return chosen

    @staticmethod
    def _longest_waiting(waiting: OrderedDict[Place, None]) -> Place | None:
        """Return the connection that has waited the longest.

        Reading moves none to the end, since that would slow every read down: those that were heard meanwhile are
        moved here, once each.
        """
        while waiting:
            place = next(iter(waiting))
            if not place.heard:
                return place
            place.heard = False
            waiting.move_to_end(place)
        return None

    def _end(self, place: Place | None) -> bool:
        if place is None:
            return False
        self.ended += 1
        self.remove(place)
        place.end()
        return True

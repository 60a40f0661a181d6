"""Remember from where users have logged in, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_USERS: Final = 4096
"""How many users are remembered; the one that has logged in longest ago is forgotten first."""
MAX_OF_ONE: Final = 64
"""How many addresses of one user: nobody with many addresses makes the server forget those of others."""


class Places:
    """From which addresses each user has logged in lately."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def add(self, user: str, address: str | None) -> None:
        """Note that a user has logged in from an address; nothing if it is not known."""
        if address is None:
            return
        own = self._of.setdefault(user, OrderedDict())
        own[address] = None
        own.move_to_end(address)
        self._of.move_to_end(user)
        if len(own) > MAX_OF_ONE:
            own.popitem(last=False)
        if len(self._of) > MAX_USERS:
            self._of.popitem(last=False)

    def has(self, user: str, address: str | None) -> bool:
        """Return whether a user has logged in from there."""
        return address is not None and address in self._of.get(user, ())

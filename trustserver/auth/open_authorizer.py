"""The authorizer of a server on which nobody has said who may do what."""

from __future__ import annotations

from collections.abc import Collection

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.authorizer import ANONYMOUS, NO_ISSUERS, Action, RightHeld, Sender, Standing, Subject
from trustserver.auth.rights import Right
from trustserver.errors import NotThere, TokenRefused
from trustserver.storage.exchange_port import ExchangedToken


class OpenAuthorizer:
    """Lets everybody do everything. Used on loopback addresses, or with --insecure-open."""

    @property
    def reads_are_open(self) -> bool:
        return True

    def start(self) -> None:
        """There is nothing that changes."""

    def close(self) -> None:
        """There is nothing to end."""

    def warnings(self) -> list[str]:
        return []

    def look_again(self) -> None:
        """There is nothing that could have changed."""

    def may_read_now(self, sender: Sender, gun: GUN) -> bool:
        del sender, gun
        return True

    async def authorize(self, sender: Sender, action: Action, gun: GUN) -> Subject:
        del sender, action, gun
        return ANONYMOUS

    def check_change(
        self, subject: Subject, action: Action, gun: GUN, *, changed: Collection[RoleName] = (), begins: bool = False
    ) -> None:
        """Everybody may do everything."""

    async def authorize_catalog(self, sender: Sender, *, only: GUN | None = None) -> Subject:
        del sender, only
        return ANONYMOUS

    async def authorize_ping(self, sender: Sender) -> Subject:
        del sender
        return ANONYMOUS

    async def log_in(self, sender: Sender) -> str:
        del sender
        raise NotThere(what="login at this server")

    async def who_is(self, sender: Sender, name: GUN | None) -> Standing:
        del sender, name
        held = RightHeld(allowed=True, why="this server lets everybody do everything")
        return Standing(subject=ANONYMOUS, rights={str(right): held for right in Right})

    async def exchange(self, token: bytes, *, address: str | None = None) -> tuple[str, ExchangedToken]:
        del token, address
        raise TokenRefused(reason=NO_ISSUERS)

"""What a command signs again as it stands is shown to the person who signs, who agrees to it (docs/adr/0122).

Nothing is asked about what this machine has verified before. The rest is listed, and at a terminal somebody is asked;
with `--yes`, and where nobody can be asked, it is signed, unless `--accept-unseen` says which files are: by their whole
hash, or none. A command that changes many collections asks once, between its plan and what it does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import typer

from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.owner_decisions import stored_file
from trustcli.publish.change_view import cut, unseen_lines, unseen_title
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.editing.unseen import Look, Unseen
from trustdata.errors import ContentUnseen
from trustdata.gun import GUN

AcceptUnseen: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-unseen",
        metavar="ROLE@sha256:HEX",
        help="Of what was not verified here before, sign again this stored file alone; 'none': nothing of it.",
    ),
]
_NOTHING: Final = "none"
_MOST_UNASKED: Final = 20
"""Of how many collections of one run the changes are listed where nobody is asked; `--plan` lists all."""


def keep_what_is_there(session: Session, gun: GUN) -> None:
    """Read a collection in which nothing had to be signed, and keep what is verified, as any look does.

    It may be this machine's own work, whose answer was lost. Raises: as `Collection.owner_roles`.
    """
    session.collection(gun).owner_roles()


class Sight:
    """A `Look` of one command. For several threads."""

    def __init__(
        self,
        session: Session,
        accept_unseen: Sequence[str] | None,
        *others: Sequence[str] | None,
        yes: bool,
        asks: bool = True,
    ) -> None:
        """Take the values of `--accept-unseen`, and of other options that accept files by their whole hash.

        `yes`: nobody is to be asked. `asks`: whether somebody may be asked at all. Raises: UsageError, InvalidName.
        """
        self._session = session
        accepted = [text for text in accept_unseen or () if text != _NOTHING]
        accepted += [text for values in others for text in values or ()]
        self._accepted = frozenset(stored_file(text, "--accept-unseen") for text in accepted)
        self._planned: dict[GUN, dict[str, Unseen]] = {}
        self._agreed: set[tuple[GUN, str]] = set()
        self._may_ask = asks and not yes and not accept_unseen and not session.settings.non_interactive
        self._all = not self._may_ask and not accept_unseen
        """Whether all of it is signed again, and nobody is asked."""
        self._lock = threading.Lock()

    def __call__(self, gun: GUN, unseen: Sequence[Unseen]) -> None:
        """Return if these files may be signed again: show them, and ask. Raises: ContentUnseen."""
        with self._lock:
            left = self._left(gun, unseen)
            if not left:
                return
            if self._all or self._may_ask:
                self._show(gun, left)
            if not self._all and not (self._may_ask and self._asks(f"Sign this again in {gun}?")):
                raise _refusal(gun, left)
            self._agreed.update((gun, each.reference) for each in left)

    def in_plan(self, *, shown: bool) -> Look | None:
        """Return the look for a plan; one that is not shown finds out what has to be agreed to."""
        return None if shown else _InPlan(self)

    def agreed_in_plan(self, guns: Iterable[GUN]) -> int:
        """Show what was found in the plans of these collections; return of how many the user has to be asked.

        From now on nobody is asked any more: what was not planned is not signed.
        """
        self._may_ask = False
        found = {gun: tuple(self._planned[gun].values()) for gun in guns if self._planned.get(gun)}
        left = {gun: files for gun, files in found.items() if self._left(gun, files)}
        listed = list(left)[: _MOST_UNASKED if self._all else None]
        for gun in listed:
            self._show(gun, left[gun])
        if len(listed) < len(left):
            self._session.output.notice(f"and in {counted(len(left) - len(listed), 'collection')} more: --plan")
        self._agreed.update((gun, each.reference) for gun, files in left.items() for each in files)
        return 0 if self._all else len(left)

    def plan(self, gun: GUN, unseen: Sequence[Unseen]) -> None:
        """Note what a plan would sign again. Raises: ContentUnseen, where nobody can be asked and files are named."""
        left = self._left(gun, unseen)
        self._planned.setdefault(gun, {}).update({each.reference: each for each in left})
        if left and not self._all and not self._may_ask:
            raise _refusal(gun, left)

    def _left(self, gun: GUN, unseen: Sequence[Unseen]) -> list[Unseen]:
        """Return the files that nobody has accepted, nor agreed to."""
        return [
            each
            for each in unseen
            if each.reference not in self._accepted and (gun, each.reference) not in self._agreed
        ]

    def _show(self, gun: GUN, unseen: Iterable[Unseen]) -> None:
        output = self._session.output
        for each in unseen:
            output.notice(f"{gun}: not verified here before, and signed again: {unseen_title(each)}")
            for line in cut(unseen_lines(each)):
                output.notice(f"  {line}")

    def _asks(self, question: str) -> bool:
        return threading.current_thread() is threading.main_thread() and confirm(self._session, question)


@dataclass(frozen=True)
class _InPlan:
    """The look of a plan that nobody sees, before several collections are changed."""

    sight: Sight

    def __call__(self, gun: GUN, unseen: Sequence[Unseen]) -> None:
        self.sight.plan(gun, unseen)

    def in_plan(self, *, shown: bool) -> Look | None:
        return self.sight.in_plan(shown=shown)


def _refusal(gun: GUN, unseen: Sequence[Unseen]) -> ContentUnseen:
    return ContentUnseen(
        gun=gun,
        files=tuple(each.reference for each in unseen),
        changes=tuple(line.strip() for each in unseen for line in unseen_lines(each)),
    )

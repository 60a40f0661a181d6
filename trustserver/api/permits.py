"""Ask the authorizer again about a change that is about to be stored."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.authorizer import Action, Authorizer, Subject
from trustserver.repository.publish import Permit


def permit_for(authorizer: Authorizer, subject: Subject, action: Action, gun: GUN) -> Permit:
    """Return what a publish asks, once it is known which roles it changes and whether it begins the collection."""

    def permit(changed: Collection[RoleName], begins: bool) -> None:  # noqa: FBT001 - a Permit
        authorizer.check_change(subject, action, gun, changed=changed, begins=begins)

    return permit


def still_allowed(authorizer: Authorizer, subject: Subject, action: Action, gun: GUN) -> Callable[[], None]:
    """Return what asks whether a subject may still do this. It raises Forbidden if not."""
    return partial(authorizer.check_change, subject, action, gun)

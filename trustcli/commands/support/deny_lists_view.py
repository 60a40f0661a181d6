"""Look for the deny lists that a policy names, and show them: how long each is, or why it cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trustcli.console.exit_codes import DONE, worst
from trustcli.console.output import failure_document
from trustcli.errors import DenyListNotObtained
from trustcli.hooks.deciding.deny_lists import current_denials
from trustcli.hooks.deciding.once import OnceReader
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.denied import DenyList, check_not_denied
from trustdata.errors import DigestDenied, TrustError
from trustdata.gun import GUN
from trustdata.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyListsLook:
    """The deny lists of a policy as far as they can be had, in its order. `warnings`: about those of a server away."""

    found: Mapping[GUN, DenyList | DenyListNotObtained]
    warnings: Sequence[str] = ()

    def report(self, session: Session) -> int:
        """Print a line about each list; return the exit status."""
        statuses = [DONE]
        for name, each in self.found.items():
            if isinstance(each, DenyList):
                session.output.result(f"deny list of {name}: {counted(len(each), 'digest')}, for every name")
            else:
                statuses.append(session.output.failure(each))
        for warning in self.warnings:
            session.output.warn(warning)
        return worst(statuses)

    def refusal(self, image: str) -> TrustError | None:
        """Return why the lists refuse an image as it is written, by its digest; None if they do not."""
        lists = [each for each in self.found.values() if isinstance(each, DenyList)]
        try:
            reference = parse_reference(image)
            if reference.digest is not None:
                check_not_denied(reference.gun, reference.digest, lists)
        except DigestDenied as denied:
            return denied
        except TrustError:
            return None  # told with the name
        return None

    def document(self) -> list[dict[str, object]]:
        """Return what `--json` has of the lists."""
        return [
            {"name": name, "denied": len(each)}
            if isinstance(each, DenyList)
            else {"name": name, "error": failure_document(each)}
            for name, each in self.found.items()
        ]


def look_for_deny_lists(session: Session, policy: Policy) -> DenyListsLook:
    """Ask for the lists. What cannot be had is part of the result: no TrustError is raised."""
    reader = OnceReader(session)
    found: dict[GUN, DenyList | DenyListNotObtained] = {}
    warnings: list[str] = []
    for each in policy.denying:
        try:
            denials = current_denials([each], reader)
        except DenyListNotObtained as failure:
            found[each.name] = failure
        else:
            (found[each.name],) = denials.lists
            warnings += denials.warnings
    return DenyListsLook(found=found, warnings=warnings)

"""Decide whether a digest may be handed out under a name: it is signed, or something signed names it.

The decision itself is the decider's, each time. Here is only found which manifests name the digest.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING, Final

from keys.record import record
from trustcli.hooks.proxy.manifest_children import Named
from trustcli.hooks.proxy.signed_lists import SignedLists
from trustcli.hooks.proxy.upstream import Caller
from trustcli.registry.reference import ImageReference, parse_reference

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision, SignedTags
    from trustcli.hooks.deciding.ports import Decider
    from trustcli.hooks.proxy.reachability import ReachabilityIndex
    from trustcli.hooks.proxy.signed_search import SignedSearch

_MOST_ASKED: Final = 16
"""Manifests above a digest about which the decider is asked one by one."""
_MOST_ABOVE: Final = 20_000
"""Manifests above a digest that are compared with all that is signed."""


@record
class Permission:
    """Whether a digest may be handed out. `reason`: of a refusal, one sentence. `decision`: if one is about itself."""

    allowed: bool
    reason: str = ""
    decision: Decision | None = None


_ALLOWED: Final = Permission(allowed=True)


class Permissions:
    """Decides about digests of one registry. Safe for threads.

    `registry`: its name in names of images. `referrers`: whether what is about signed content may be handed out, too.
    """

    def __init__(
        self,
        registry: str,
        decider: Decider,
        index: ReachabilityIndex,
        search: SignedSearch,
        *,
        referrers: bool = False,
    ) -> None:
        self._registry = registry
        self._decider = decider
        self._index = index
        self._search = search
        self._lists = SignedLists(decider)
        self._referrers = referrers

    def reference(self, repository: str, *, tag: str = "", digest: str = "") -> ImageReference:
        """Return the image that a part of this registry is. Raises: InvalidName."""
        name = f"{self._registry}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
        return parse_reference(name)

    def signed_tags(self, repository: str) -> SignedTags:
        """Return the signed tags of a repository, as they were a moment ago at most. Raises: InvalidName."""
        return self._lists.of(self.reference(repository).gun)

    def of(self, repository: str, digest: str, caller: Caller, *, is_blob: bool) -> Permission:
        """Return whether a manifest or a blob may be handed out to a caller whom upstream lets read the repository.

        Raises: SearchUnfinished, UpstreamSays, RemoteUnreachable, RemoteMisbehaved, SettingsUnusable, InvalidName.
        """
        # A blob is not signed itself: what names it is asked first, so that nothing is looked for in vain.
        own = None if is_blob else self._decision(repository, digest)
        if own is not None and own.allowed:
            return Permission(allowed=True, decision=own)
        if own is not None and own.by_digest:
            return Permission(allowed=False, reason=own.reason, decision=own)
        nearest = self._above(repository, digest, most=_MOST_ASKED, is_blob=is_blob)
        if any(self._decision(repository, manifest).allowed for manifest in nearest):
            return _ALLOWED
        own = own or self._decision(repository, digest)
        return _ALLOWED if own.allowed else self._searched(repository, digest, caller, own, is_blob=is_blob)

    def learn(self, repository: str, digest: str, named: Named, *, tag: str) -> None:
        """Note what a manifest names that is handed out. `tag`: under which; empty if it was asked for by digest."""
        self._index.add(repository, digest, named, tag=tag)

    def learn_referrer(self, subject: str, digest: str) -> None:
        """Note that a manifest says that it is about another one, which was learned before."""
        self._index.add_referrer(subject, digest)

    def _above(self, repository: str, digest: str, *, most: int, is_blob: bool) -> list[str]:
        """Return manifests above a digest, the nearest first, up to those that a rule about their digest refuses.

        What is denied vouches for nothing in it, and what lists it vouches for nothing through it.
        """
        named = self._decider.named_digests(self.reference(repository).gun)
        closed: set[str] = set()
        while True:
            found = self._index.above(
                repository, digest, most=most, is_blob=is_blob, referrers=self._referrers, closed=closed
            )
            refused = {each for each in found if each in named and self._is_refused(repository, each)}
            if not refused:
                return found
            closed |= refused

    def _is_refused(self, repository: str, digest: str) -> bool:
        """Return whether a manifest is refused by a rule about its digest. Raises: InvalidName."""
        decision = self._decision(repository, digest)
        return not decision.allowed and decision.by_digest

    def _searched(
        self, repository: str, digest: str, caller: Caller, refusal: Decision, *, is_blob: bool
    ) -> Permission:
        """Return whether a signed image names the digest, after it was looked for. Raises: as `of`."""
        gun = self.reference(repository).gun
        with self._search.turn(repository):
            signed = self.signed_tags(repository)
            if signed.refusal is not None:
                return Permission(allowed=False, reason=str(signed.refusal))
            # The thread before this one may have found it; base layers stand in more manifests than were asked above.
            above = self._above(repository, digest, most=_MOST_ABOVE, is_blob=is_blob)
            if self._is_signed(repository, signed, above):
                return _ALLOWED
            named = self._decider.named_digests(gun)
            found = self._search.finds(
                repository,
                digest,
                signed.tags,
                caller,
                is_blob=is_blob,
                is_closed=lambda manifest: manifest in named and self._is_refused(repository, manifest),
            )
            if found is not None and self._is_signed(repository, signed, [found]):
                return _ALLOWED
        reason = f"{digest} belongs to no image that is signed under the name {gun}" if is_blob else refusal.reason
        return Permission(allowed=False, reason=reason)

    def _is_signed(self, repository: str, signed: SignedTags, digests: Collection[str]) -> bool:
        """Return whether a tag that was signed as one of the digests a moment ago is signed so now."""
        wanted = set(digests)
        tags = (tag for tag, digest in signed.tags.items() if digest in wanted)
        decided = (self._decider.decide(self.reference(repository, tag=tag)) for tag in islice(tags, _MOST_ASKED))
        return any(decision.allowed and decision.digest in wanted for decision in decided)

    def _decision(self, repository: str, digest: str) -> Decision:
        """Return the decision about a manifest under the name alone, or under a tag with which it was handed out."""
        decision = self._decider.decide(self.reference(repository, digest=digest))
        for tag in () if decision.allowed else self._index.tags_of(repository, digest):
            tagged = self._decider.decide(self.reference(repository, tag=tag), digest)
            if tagged.allowed:
                return tagged
        return decision

"""The table of the same-answer suite: what every door must say of each image, and why one says something else.

Each case is a repository of its own, once in each format, with a rule of its own in the one policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tests.simulator.owner import Owner
from tests.support.simulated_site import MOVED, ROLLED_BACK, TAG, UNSIGNED, SimulatedSite
from trustdata.gun import GUN
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.format_names import FORMAT_NAMES

CLI, AGENT, DOCKER, CONTAINERD, PROXY, ADMISSION = "cli", "agent", "docker", "containerd", "proxy", "admission"
DOORS: Final = (CLI, AGENT, DOCKER, CONTAINERD, PROXY, ADMISSION)
SKOPEO, PODMAN, ENGINE, WITH_AGENT = "skopeo", "podman", "docker's engine", "containerd with the agent"
BEHIND: Final[Mapping[str, str]] = {SKOPEO: PROXY, PODMAN: PROXY, ENGINE: PROXY, WITH_AGENT: CONTAINERD}
"""Doors that ask another one, and so must say what that says."""
REFRESH: Final = "30m"
"""`--refresh` of the doors that stay: so long that no machine is too slow for what is to be younger."""
OLDER: Final = timedelta(minutes=45)
ANYTHING: Final = "anything"
"""What runs where a rule lets run whatever the registry serves, and the door does not ask which content that is."""
_REASON: Final = "it is being moved to us"
_OPEN: Final = f'reason = "{_REASON}"\nuntil = 2999-01-01\n'
_OVER: Final = f'reason = "{_REASON}"\nuntil = 2020-01-01\n'


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a door says. `runs`: a content of the site, or ANYTHING; "" if the image is refused.

    `code`, `status`: of the refusal, and the exit status that belongs to it. `words`: of the sentence that is told;
    of a yes, what the warning says. `because`: why this door says something else than the others.
    """

    runs: str = ""
    code: str = ""
    status: int = 0
    words: str = ""
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`image`: tag or digest, as `:1.0` or `@good`. `rule`: what stands in the rule beside `match`; None: no rule.

    `make`: makes the collection. `then`: what changes once every door has seen the image allowed. `denied`: content
    that a further rule denies. `differs`: by door; `notary`: what all say in Notary v1, if that is something else.
    `down`: its trust server can be taken down. `age`: how long ago a door has heard of the collection when it is asked.
    """

    name: str
    make: Callable[[SimulatedSite, GUN, str], None]
    verdict: Verdict
    image: str = f":{TAG}"
    rule: str | None = ""
    then: Callable[[SimulatedSite, GUN], None] | None = None
    denied: str = ""
    alias_of: str = ""
    down: bool = False
    age: timedelta | None = None
    differs: Mapping[str, Verdict] = field(default_factory=dict)
    notary: Verdict | None = None

    def expected(self, door: str, form: str) -> Verdict:
        """What a door must say in a format."""
        common = self.notary if self.notary is not None and form == FORMAT_NAMES[1] else self.verdict
        own = self.differs.get(door)
        return own if own is not None else self.differs.get(BEHIND.get(door, door), common)


# --- collections


def signed(site: SimulatedSite, gun: GUN, form: str) -> None:
    site.sign(site.collection(gun, form), TAG, "good")


def _moved(site: SimulatedSite, gun: GUN, form: str) -> None:
    site.sign(site.collection(gun, form), MOVED, "good")


def _index(site: SimulatedSite, gun: GUN, form: str) -> None:
    site.sign(site.collection(gun, form), "index", "index", "platform")


def _two_indexes(site: SimulatedSite, gun: GUN, form: str) -> None:
    """One platform is in both, and the one that comes first by its tag may be denied."""
    owner = site.collection(gun, form)
    site.sign(owner, "index", "index", "platform")
    site.sign(owner, "same-platform", "same-platform", "platform")


def _none(site: SimulatedSite, gun: GUN, form: str) -> None:
    """Nothing: the name has no collection."""
    del site, gun, form


def _expired(site: SimulatedSite, gun: GUN, form: str) -> None:
    """A server that has renewed nothing for 60 days, and knows what day it is."""
    site.sign(site.collection(gun, form, at=site.at - timedelta(days=60)), TAG, "good")


def _clock_ahead(site: SimulatedSite, gun: GUN, form: str) -> None:
    """By the server's clock all is fresh: the one of this machine is 60 days ahead."""
    _expired(site, gun, form)
    site.clocks[gun] = site.at - timedelta(days=60)


def _by_alice(site: SimulatedSite, gun: GUN, form: str) -> None:
    owner = site.collection(gun, form)
    for name in ("alice", "bob"):
        owner.add_signer(name)
    site.sign(_only(owner, "alice"), TAG, "good")
    site.sign(_only(owner, "targets"), TAG, "good")


def _only(owner: Owner, *keys: str) -> Owner:
    return Owner(owner.server, *keys)


def _pinned_otherwise(site: SimulatedSite, gun: GUN, form: str) -> None:
    signed(site, gun, form)
    site.pin(gun, Pin("sha256", "0" * 64))


def _sibling(site: SimulatedSite, gun: GUN, form: str) -> None:
    """The owner's key is pinned, and the server shows another collection of this owner."""
    signed(site, gun, form)
    root = site.shown[gun].stored[ROOT].root
    sibling = site.name(f"sibling-of-{gun.rpartition('/')[2]}")
    site.sign(site.collection(sibling, form), TAG, "other")
    site.shown[gun] = site.shown[sibling]
    site.pin(gun, Pin("key", root.roles[ROOT].keyids[0]))


def _rollback(site: SimulatedSite, gun: GUN, form: str) -> None:
    owner = site.collection(gun, form)
    site.sign(owner, ROLLED_BACK, "other")
    site.past[gun] = owner.server.copy()
    site.sign(owner, ROLLED_BACK, "good")


def _lied_about(site: SimulatedSite, gun: GUN, form: str) -> None:
    signed(site, gun, form)
    site.lie(gun.partition("/")[2], site.digests["good"])


# --- what happens then


def _revoke(site: SimulatedSite, gun: GUN) -> None:
    Owner(site.shown[gun]).revoke(TAG)


def _show_the_past(site: SimulatedSite, gun: GUN) -> None:
    """What the trust server shows is what the registry has, and both were right once."""
    site.shown[gun] = site.past[gun]
    site.registry.tags[ROLLED_BACK] = site.digests["other"]


def _deny(content: str) -> Callable[[SimulatedSite, GUN], None]:
    return lambda site, gun: site.deny(gun, content)


def _tainted(content: str, *children: str) -> Callable[[SimulatedSite, GUN, str], None]:
    return lambda site, gun, form: site.sign(site.collection(gun, form), content, content, *children)


def _denied_from_the_start(site: SimulatedSite, gun: GUN, form: str) -> None:
    signed(site, gun, form)
    site.deny(gun, "other")


def _go_away(site: SimulatedSite, gun: GUN) -> None:
    del gun
    site.away.stop()


_NOT_SIGNED: Final = Verdict(code="not-signed", status=3, words="is not signed")
_DENIED: Final = Verdict(code="digest-denied", status=4, words="is denied by ")
DENIED: Final[Mapping[str, str]] = {"tainted": FORMAT_NAMES[0], "tainted-platform": FORMAT_NAMES[1]}
"""What the policy's deny lists deny for every name: content, and the format of the collection that denies it."""
_UNREACHABLE: Final = Verdict(code="remote-unreachable", status=6, words="cannot be reached")
_EXPIRED: Final = Verdict(code="metadata-expired", status=4, words=" expired on ")
_NO_DIGEST: Final = "it does not ask the registry; whatever that serves is allowed"
_YOUNG: Final = "what the server confirmed less than --refresh ago is fresh to what stays, and needs no server"
_LET_THROUGH: Final = Verdict(runs="other", words=_REASON)
_LET_THROUGH_UNSEEN: Final = Verdict(runs=ANYTHING, words=_REASON, because=_NO_DIGEST)
CASES: Final = (
    Case(name="signed", make=signed, verdict=Verdict(runs="good")),
    Case(name="unsigned", make=signed, image=f":{UNSIGNED}", verdict=_NOT_SIGNED),
    Case(
        name="no-trust-data",
        make=_none,
        verdict=Verdict(code="no-trust-data", status=3, words="no trust data"),
    ),
    Case(
        name="moved-tag",
        make=_moved,
        image=f":{MOVED}",
        verdict=Verdict(runs="good"),
        differs={
            CONTAINERD: Verdict(
                code="content-mismatch",
                status=4,
                words="is signed as",
                because="containerd has asked the registry, and cannot be told to pull another digest",
            )
        },
    ),
    Case(name="revoked", make=signed, then=_revoke, verdict=_NOT_SIGNED),
    Case(
        name="rolled-back",
        make=_rollback,
        image=f":{ROLLED_BACK}",
        then=_show_the_past,
        verdict=Verdict(code="version-rollback", status=4, words="older"),
    ),
    Case(name="expired", make=_expired, verdict=_EXPIRED),
    Case(name="clock-ahead", make=_clock_ahead, verdict=_EXPIRED),
    Case(
        name="wrong-signer",
        make=_by_alice,
        rule='signers = ["bob"]',
        verdict=Verdict(code="policy-refused", status=5, words="bob has not signed"),
    ),
    Case(name="right-signer", make=_by_alice, rule='signers = ["alice"]', verdict=Verdict(runs="good")),
    Case(name="wrong-pin", make=_pinned_otherwise, verdict=Verdict(code="root-not-pinned", status=4, words="0" * 64)),
    Case(
        name="other-collection",
        make=_sibling,
        verdict=Verdict(code="root-of-another-name", status=4, words="sibling-of-"),
        notary=Verdict(code="certificate-of-another-name", status=4, words="sibling-of-"),
    ),
    Case(name="alias", make=_none, alias_of="signed", rule=None, verdict=Verdict(runs="good")),
    Case(
        name="away-fresh",
        make=signed,
        rule='max_staleness = "2h"',
        then=_go_away,
        down=True,
        age=OLDER,
        verdict=Verdict(runs="good", words="the trust server is away"),
    ),
    Case(
        name="away-stale",
        make=signed,
        rule='max_staleness = "2h"',
        then=_go_away,
        down=True,
        age=timedelta(hours=3),
        verdict=_UNREACHABLE,
    ),
    Case(name="away-unbounded", make=signed, then=_go_away, down=True, age=OLDER, verdict=_UNREACHABLE),
    Case(
        name="away-young",
        make=signed,
        then=_go_away,
        down=True,
        verdict=_UNREACHABLE,
        differs=dict.fromkeys((AGENT, PROXY, ADMISSION, WITH_AGENT), Verdict(runs="good", because=_YOUNG)),
    ),
    Case(
        name="registry-lies",
        make=_lied_about,
        verdict=Verdict(runs="good"),
        differs={
            PROXY: Verdict(
                words="is expected",
                because="it has the bytes in its hands; at the others, the engine compares them with the digest",
            )
        },
    ),
    Case(name="digest", make=signed, image="@good", verdict=Verdict(runs="good")),
    Case(name="unsigned-digest", make=signed, image="@other", verdict=_NOT_SIGNED),
    Case(name="index", make=_index, image=":index", verdict=Verdict(runs="index")),
    Case(name="platform", make=_index, image="@platform", verdict=Verdict(runs="platform")),
    Case(
        name="platform-of-a-denied-index",
        make=_index,
        image="@platform",
        denied="index",
        verdict=Verdict(code="policy-refused", status=5, words="denies"),
    ),
    Case(
        name="platform-of-another-index-too",
        make=_two_indexes,
        image="@platform",
        denied="index",
        verdict=Verdict(runs="platform"),
    ),
    Case(
        name="exempted",
        make=_none,
        image=f":{UNSIGNED}",
        rule=f'mode = "allow"\n{_OPEN}',
        verdict=_LET_THROUGH,
        differs={AGENT: _LET_THROUGH_UNSEEN, ADMISSION: _LET_THROUGH_UNSEEN},
    ),
    Case(
        name="exemption-run-out",
        make=signed,
        image=f":{UNSIGNED}",
        rule=f'mode = "allow"\n{_OVER}',
        verdict=_NOT_SIGNED,
    ),
    Case(
        name="audit",
        make=signed,
        image=f":{UNSIGNED}",
        rule=f'mode = "audit"\n{_OPEN}',
        verdict=_LET_THROUGH,
        differs={AGENT: _LET_THROUGH_UNSEEN, ADMISSION: _LET_THROUGH_UNSEEN},
    ),
    Case(
        name="deny",
        make=signed,
        rule='mode = "deny"',
        verdict=Verdict(code="policy-refused", status=5, words="denies"),
    ),
    Case(name="denied", make=signed, then=_deny("good"), age=OLDER, verdict=_DENIED),
    Case(name="denied-digest", make=signed, image="@good", then=_deny("good"), age=OLDER, verdict=_DENIED),
    Case(name="denied-platform", make=_index, image="@platform", then=_deny("platform"), age=OLDER, verdict=_DENIED),
    Case(
        name="denied-platform-of-index", make=_index, image=":index", then=_deny("platform"), age=OLDER, verdict=_DENIED
    ),
    Case(
        name="denied-index-of-platform", make=_index, image="@platform", then=_deny("index"), age=OLDER, verdict=_DENIED
    ),
    Case(
        name="denied-in-audit",
        make=_denied_from_the_start,
        image="@other",
        rule=f'mode = "audit"\n{_OPEN}',
        verdict=_DENIED,
    ),
    Case(name="listed", make=_tainted("tainted"), image=":tainted", verdict=_DENIED),
    Case(name="listed-index", make=_tainted("mixed", "platform", "tainted-platform"), image=":mixed", verdict=_DENIED),
    Case(
        name="listed-other-platform",
        make=_tainted("mixed", "platform", "tainted-platform"),
        image="@platform",
        verdict=Verdict(runs="platform"),
    ),
    Case(
        name="listed-and-exempted",
        make=_none,
        image="@tainted",
        rule=f'mode = "allow"\n{_OPEN}',
        verdict=_DENIED,
    ),
    Case(
        name="no-rule",
        make=signed,
        rule=None,
        verdict=Verdict(code="policy-refused", status=5, words="no rule matches"),
    ),
)

"""Sign images for the Python API, as `trust sign` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trustcli.api.errors import NotAllSigned
from trustcli.api.values import Signed
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.many import Outcomes
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.signing import LookedUpImages, SigningTerms, plan_tags, sign_tags
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.gun import GUN


def sign(
    session: Session, images: Sequence[str], *, signer: str | None, local: bool, through_alias: bool
) -> list[Signed]:
    """Sign images, and return one value for each, in order. `through_alias`: as of `Trust.sign`.

    Raises: UsageError, if nothing was published yet; the error of the only repository; NotAllSigned of several.
    """
    references = [parse_reference(image) for image in images]
    looked_up = LookedUpImages(session, references, local=local)
    agree_to_aliases(session, looked_up.guns, yes=through_alias, agreement="through_alias=True")
    terms = SigningTerms(signer=signer)
    published: dict[GUN, bool] = {}

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        items = looked_up.requests(gun)
        return [plan_tags(session, planning, planning.collection(gun), gun, items, terms).plan]

    def sign_one(gun: GUN) -> Done:
        changed = sign_tags(session, gun, looked_up.requests(gun), terms, keys=session.held_keys())
        published[gun] = changed
        return Done(changed=changed)

    outcomes = Outcomes(session, looked_up.guns)
    try:
        outcomes.carry_out(sign_one, check=check)
    except BaseException as error:  # also KeyboardInterrupt: it must not take away what was done before
        signed = _signed(looked_up, published, references)
        if signed:
            error.add_note(f"signed before that: {', '.join(image.name for image in signed)}")
        raise
    signed = _signed(looked_up, published, references)
    failed = outcomes.in_state("failed")
    failures = {str(outcome.gun): outcome.failure for outcome in failed if outcome.failure is not None}
    if not failures:
        return signed
    first = next(iter(failures.values()))
    if len(looked_up.guns) == 1:
        raise first
    not_tried = tuple(outcome.gun for outcome in outcomes.in_state("not tried"))
    raise NotAllSigned(signed=tuple(signed), failures=failures, not_tried=not_tried) from first


def _signed(
    looked_up: LookedUpImages, published: Mapping[GUN, bool], references: Sequence[ImageReference]
) -> list[Signed]:
    """Return those of the images whose collections were done."""
    digests = {(str(gun), str(item.tag)): item.manifest.digest for gun in published for item in looked_up.requests(gun)}
    return [
        Signed(
            image=reference.given,
            name=f"{reference.gun}:{reference.tag}@{digest}",
            tag=str(reference.tag),
            digest=digest,
            published=published[reference.gun],
        )
        for reference in references
        if (digest := digests.get((reference.gun, str(reference.tag)))) is not None
    ]

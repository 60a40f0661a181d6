"""`trust pull`: verify images, pull the signed digests through the container engine, and tag them.

An image that cannot be judged is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trustcli.client.policy_file import load_policy, tag_meant
from trustcli.commands.support.judging import verify
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.name_lists import image_names
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.output import failure_document
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import NotSigned, TrustError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("pull")
def command(
    ctx: typer.Context,
    given: Annotated[list[str] | None, typer.Argument(metavar="IMAGE[:TAG]...")] = None,
    images_file: ImagesFile = None,
    signer: Annotated[list[str] | None, typer.Option(help="This signer must have signed; may be repeated.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="As for verify.")] = None,
) -> int:
    """Verify, pull by digest through the container engine, tag."""
    session: Session = ctx.obj
    rules = load_policy(policy) if policy else None
    images = image_names(given or (), images_file)
    answers = verify(session, images, signers=tuple(signer or ()), policy=rules)
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    for index, (image, answer) in enumerate(zip(images, answers, strict=True), start=1):
        try:
            pulled = _pull(session, image, answer)
        except TrustError as error:  # the other images are pulled all the same
            statuses.append(session.output.failure(error, subject=image))
            rows.append({"image": image, "error": failure_document(error)})
        else:
            session.output.result(f"Pull ({index} of {len(images)}): {pulled}")
            rows.append({"image": image, "digest": answer.digest})
    status = worst(statuses)
    session.output.document({"images": rows, "exit": status})
    return status


def _pull(session: Session, image: str, decision: Decision) -> str:
    """Pull by digest and tag; return the name and digest in the form that `docker pull` with content trust prints.

    Raises: the refusal, if the decision is one; EngineUnreachable, RemoteUnreachable, RemoteRefused, RemoteMisbehaved,
    ImageNotFound, SettingsUnusable.
    """
    reference = parse_reference(image)
    digest, tag = decision.digest, tag_meant(reference)
    if not decision.allowed or digest is None:
        raise decision.refusal or NotSigned(gun=reference.gun, tag=tag or "")
    engine = session.engine()
    credential = session.credentials.credential_for(reference.host, repository=reference.repository)
    engine.pull(reference.gun, digest, credential=credential, server=reference.host)
    if tag is None:
        return f"{reference.gun}@{digest}"
    name = f"{reference.gun}:{tag}"
    session.output.notice(f"Tagging {reference.gun}@{digest} as {name}")
    engine.tag(f"{reference.gun}@{digest}", reference.gun, tag)
    return f"{name}@{digest}"

"""`trust pull`: verify, pull the signed digest through the engine, tag it. What cannot be judged is refused."""

from __future__ import annotations

from typing import Annotated

import typer

from trustcli.commands.verify import verify
from trustcli.docker_config import DockerConfig
from trustcli.exit_codes import DONE, worst
from trustcli.output import failure_document
from trustcli.reference import parse_reference
from trustcli.session import Session
from trustdata.judgement import Question

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("pull")
def command(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE[:TAG]...")],
    signer: Annotated[list[str] | None, typer.Option(help="This signer must have signed; may be repeated.")] = None,
) -> int:
    """Verify, pull by digest through the container engine, tag."""
    session: Session = ctx.obj
    answers = verify(session, images, signers=tuple(signer or ()))
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    for index, (image, answer) in enumerate(zip(images, answers, strict=True), start=1):
        if answer.refusal is not None:
            statuses.append(session.output.failure(answer.refusal, subject=image))
            rows.append({"image": image, "error": failure_document(answer.refusal)})
        elif answer.digest is not None:
            session.output.result(
                f"Pull ({index} of {len(images)}): {_pull(session, image, answer.digest, answer.question)}"
            )
            rows.append({"image": image, "digest": answer.digest})
    status = worst(statuses)
    session.output.document({"images": rows, "exit": status})
    return status


def _pull(session: Session, image: str, digest: str, question: Question) -> str:
    """Pull by digest and tag; returns what was pulled, as `docker pull` with content trust says it."""
    reference = parse_reference(image)
    engine = session.engine()
    credential = DockerConfig(session.environ).credential_for(reference.registry_host)
    engine.pull(reference.gun, digest, credential=credential, server=reference.host)
    if question.tag is None:
        return f"{reference.gun}@{digest}"
    name = f"{reference.gun}:{question.tag}"
    session.output.notice(f"Tagging {reference.gun}@{digest} as {name}")
    engine.tag(f"{reference.gun}@{digest}", reference.gun, question.tag)
    return f"{name}@{digest}"

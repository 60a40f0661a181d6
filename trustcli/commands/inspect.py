"""`trust inspect`: show signed tags, signers and administrative keys, in the format of `docker trust inspect`.

Scripts call it in loops, so it must start fast: its arguments are read with argparse, as those of `trust verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keys.errors import KeysError
from trustcli.commands.support.inspect_view import json_entry, json_view, pretty_view
from trustcli.commands.support.inspecting import content_of, denied_lines, expired_roles
from trustcli.commands.support.name_lists import image_names
from trustcli.console.exit_codes import DONE, NOT_TRUSTED, worst
from trustcli.console.failure_table import row_for
from trustcli.console.fast_arguments import FastParser
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import TrustError, shown
from trustdata.inspection import Inspection
from trustdata.roles import is_delegated

SUMMARY: Final = "Show signed tags, signers and administrative keys."


def parser() -> FastParser:
    """Return the argument parser of `trust inspect`."""
    found = FastParser(prog="trust inspect", description=SUMMARY, allow_abbrev=False)
    found.add_argument("images", nargs="*", metavar="IMAGE[:TAG]")
    found.add_argument(
        "--images", dest="file", type=Path, metavar="FILE", help="images, one a line; - is standard input"
    )
    found.add_argument("--pretty", action="store_true", help="for people")
    return found


def main(session: Session, arguments: Sequence[str]) -> int:
    """Run the command and return its exit status. Raises: UsageError."""
    if {"--help", "-h"} & set(arguments):
        from trustcli.commands.support.command_help import parser_help  # start-up time

        session.output.raw(parser_help(parser()).text())
        return DONE
    options = parser().parse_args(arguments)
    return inspect(session, image_names(options.images, options.file), pretty=options.pretty)


def inspect(session: Session, images: Sequence[str], *, pretty: bool) -> int:
    """Print each image and return the worst exit status. Raises: UsageError."""
    if pretty and session.output.as_json:
        raise UsageError("--pretty and --json contradict each other")
    entries: list[dict[str, object]] = []
    statuses: list[int] = []
    for index, image in enumerate(images):
        try:
            inspection, status = _inspect(session, image)
        except (TrustError, KeysError) as error:
            session.output.notice(f"no signatures or cannot access {image}")
            session.output.failure(error, subject=image)
            statuses.append(row_for(error).status)
            if session.output.as_json:  # docker's JSON leaves such an image out, ours has its error
                entries.append({"Name": image, "error": failure_document(error)})
            if pretty:
                break  # as docker does
            continue
        statuses.append(status)
        if pretty:
            session.output.raw("\n\n" if index else "")
            session.output.pieces(pretty_view(image, inspection))
        else:
            entries.append(json_entry(image, inspection, with_two_digests=session.output.as_json))
    if not pretty:
        session.output.pieces(json_view(entries))
    return worst(statuses)


def _inspect(session: Session, image: str) -> tuple[Inspection, int]:
    """Return what to print, and the exit status: expired roles are printed, and the status says "not trusted"."""
    reference = parse_reference(image)
    found = session.collection(reference.gun).owner_roles()
    for role, fault in found.faults.items():
        session.output.warn(f"{image}: {shown(role)} is left out: {fault}")
    status = DONE
    for role, envelope in expired_roles(found, at=session.at).items():
        expired = f"{shown(role)} version {envelope.version} expired on {envelope.expires:%Y-%m-%d}"
        session.output.warn(f"{image}: {expired}")
        if not is_delegated(role):
            status = NOT_TRUSTED
    inspection = content_of(found, tag=reference.tag)
    for error in inspection.unusable:
        session.output.warn(f"{image}: {shown(error.target)} is left out: {error}")
    for line in denied_lines(found, reference.gun):
        session.output.warn(line)
    return inspection, status

"""`trust verify`: is this image signed, and as which digest? Exit status 0 only if every image is trusted.

It is called the most often and must start fast: its arguments are read with argparse, since importing Typer takes 26 ms
(docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keys.rfc3339 import to_rfc3339
from trustcli.client.policy_file import load_policy
from trustcli.commands.support.agent_answers import decisions_of_agent
from trustcli.commands.support.durations import DEFAULT_MAX_AGE, offline_bound
from trustcli.commands.support.judging import runnable_name, verify
from trustcli.commands.support.name_lists import image_names
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.fast_arguments import FastParser
from trustcli.console.output import failure_document
from trustcli.hooks.deciding.decision import Decision
from trustcli.session import Session

SUMMARY = "Verify images; print name@digest for each that is trusted."


def parser() -> FastParser:
    """Return the argument parser of `trust verify`."""
    found = FastParser(prog="trust verify", description=SUMMARY, allow_abbrev=False)
    found.add_argument("images", nargs="*", metavar="IMAGE[:TAG|@DIGEST|:TAG@DIGEST]")
    found.add_argument(
        "--images", dest="file", type=Path, metavar="FILE", help="images, one a line; - is standard input"
    )
    found.add_argument("--signer", action="append", default=[], metavar="NAME", help="this signer must have signed")
    found.add_argument("--policy", type=Path, metavar="FILE", help="a policy: what each name must have")
    found.add_argument("--offline", action="store_true", help="judge from the cache, within --max-age")
    found.add_argument(
        "--max-age", metavar="TIME", help=f"offline: since the last refresh (90m, 7d; default {DEFAULT_MAX_AGE})"
    )
    found.add_argument("--fresh", action="store_true", help="ask the trust server now, and no agent of this machine")
    return found


def main(session: Session, arguments: Sequence[str]) -> int:
    """Run the command and return its exit status. Raises: UsageError, PolicyMalformed, FileExposed."""
    if {"--help", "-h"} & set(arguments):
        from trustcli.commands.support.command_help import parser_help  # start-up time

        session.output.raw(parser_help(parser()).text())
        return DONE
    options = parser().parse_args(arguments)
    max_age = offline_bound(options.max_age, offline=options.offline)
    policy = load_policy(options.policy) if options.policy else None
    images = image_names(options.images, options.file)
    # What an agent does not tell: signers that nobody asked for, and those of an option.
    asks_agent = not (options.fresh or options.offline or options.signer or session.output.as_json)
    told = decisions_of_agent(session, images, policy=options.policy) if asks_agent else {}
    rest = iter(
        verify(
            session,
            [image for index, image in enumerate(images) if index not in told],
            signers=tuple(options.signer),
            policy=policy,
            max_age=max_age,
            every_signer=session.output.as_json,  # the line for people names none
        )
    )
    return _report(session, images, [told[index] if index in told else next(rest) for index in range(len(images))])


def _report(session: Session, images: Sequence[str], decisions: Sequence[Decision]) -> int:
    statuses = []
    rows: list[dict[str, object]] = []
    for image, decision in zip(images, decisions, strict=True):
        row: dict[str, object] = {"image": image, "trusted": decision.allowed}
        if decision.allowed:
            name = runnable_name(decision)
            session.output.result(name)
            row |= {"name": name, "digest": decision.digest, **_evidence(decision)}
            statuses.append(DONE)
        elif decision.refusal is not None:
            session.output.failure(decision.refusal, subject=image)
            row["error"] = failure_document(decision.refusal)
            statuses.append(row_for(decision.refusal).status)
        rows.append(row | _by_rule(decision))
    status = worst(statuses)
    session.output.document({"images": rows, "exit": status})
    return status


def _evidence(decision: Decision) -> dict[str, object]:
    """Return what the verdict rests on; nothing where a rule lets an image run that is not verified."""
    evidence = decision.evidence
    if evidence is None:
        return {}
    return {
        "tags": list(evidence.tags),
        "signers": list(evidence.signers),
        "released_by": evidence.released_by,
        "versions": dict(evidence.versions),
        "fresh_until": to_rfc3339(evidence.fresh_until),
    }


def _by_rule(decision: Decision) -> dict[str, object]:
    """Return what the policy says, where there is one."""
    if not decision.rule:
        return {}
    told: dict[str, object] = {"mode": decision.mode, "rule": decision.rule, "warnings": list(decision.warnings)}
    if decision.allowed and decision.refusal is not None:
        told["refusal"] = failure_document(decision.refusal)
    return told

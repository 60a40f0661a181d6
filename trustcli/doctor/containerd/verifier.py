"""Check our verifier on a node: does it run, and can it judge with its settings, pins and memory?

It is run once with a request that it must refuse; but not if others may have changed it, since a check must not run
foreign code with the rights of its user. It gets no passphrase. Nothing is written but the state folder and its lock
file, which the first pull would make as well. What is distributed of the policy is asked for as at a pull (`policy`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from keys.child_environment import without_passphrases
from trustcli.client.policy_file import load_policy, tag_meant
from trustcli.doctor.agent import check_agent
from trustcli.doctor.containerd.config import ConfigFile, Verifiers, sandbox_images
from trustcli.doctor.containerd.policy import check_policy
from trustcli.doctor.failing import guarded
from trustcli.doctor.findings import Finding
from trustcli.errors import HookRequestMalformed
from trustcli.hooks.bin_dir import HookFile, open_to_others
from trustcli.hooks.wrapper import Wrapper
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session, open_hook_session
from trustcli.state.guarded_file import GuardedFile
from trustdata.counting import counted
from trustdata.errors import InvalidName, PolicyRefused, TrustError
from trustdata.gun import parse_gun
from trustdata.policy import Policy

_MARGIN: Final = 1.0
"""Seconds for starting and ending the process, in addition to the verifier's own time limit."""
_QUESTION_SECONDS: Final = 60


def check_our_verifier(entry: HookFile, verifiers: Verifiers, files: Sequence[ConfigFile]) -> Iterator[Finding]:
    """Return the findings about an entry of bin_dir that is our verifier."""
    wrapper = entry.ours
    if wrapper is None:
        return
    open_path = _open_to_others(entry, verifiers, wrapper)
    if open_path is not None:
        yield Finding(
            check="program",
            severity="note",
            text=f"{entry.path} was not tried: {open_path} may be changed by others, and containerd would run what "
            "they put there",
            remedy=f"chmod go-w {open_path}",
            place=str(open_path),
        )
    complaint = "" if open_path is not None else _refuses_nonsense(entry.path)
    if complaint:
        yield Finding(
            check="verifier",
            severity="wrong",
            text=f"{entry.path} was called without a name, which it must refuse in words: {complaint}",
            remedy="install content-trust where the script looks for it, then trust hook containerd again",
            place=str(wrapper.program),
        )
    try:
        session = open_hook_session(config=wrapper.config, state=wrapper.state)
        policy = load_policy(session.settings.verifier.policy) if session.settings.verifier.policy else None
        if policy is not None:
            session.names.check(policy)
    except TrustError as error:
        yield _fails("settings", error, str(wrapper.config or entry.path), "every image is refused")
        return
    with contextlib.closing(session):
        yield from _check_timeout(session, verifiers)
        yield from _check_files(session, wrapper)
        yield from _check_names(session, policy, files)
        if policy is not None:
            yield from check_policy(session, policy)
        by = session.settings.verifier.policy
        yield from guarded(
            "agent", lambda: check_agent(session, policy=by, with_allow_list=True, who="trust-image-verifier")
        )


def _open_to_others(entry: HookFile, verifiers: Verifiers, wrapper: Wrapper) -> Path | None:
    """Return the first program or folder of the verifier that others than its owner may change, or None."""
    paths = (entry.path, Path(verifiers.bin_dir), wrapper.program, wrapper.program.parent)
    return next((path for path in paths if path.exists() and open_to_others(path)), None)


def _refuses_nonsense(program: Path) -> str:
    """Return what is wrong with the answer to a request that names no image; empty if it is refused as it should be."""
    try:
        done = subprocess.run(
            [program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_QUESTION_SECONDS,
            env=without_passphrases(os.environ),
        )
    except OSError as error:
        return f"it cannot be executed ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "it did not end"
    if done.returncode == 0:
        return "it allowed it"
    output = done.stdout.decode(errors="replace").strip()
    return "" if output.startswith(HookRequestMalformed.beginning) else f"it ended with {done.returncode}: {output}"


def _check_timeout(session: Session, verifiers: Verifiers) -> Iterator[Finding]:
    ours = session.settings.verifier.timeout
    place = f"{verifiers.place}.per_verifier_timeout"
    if verifiers.timeout is not None and verifiers.timeout >= ours + _MARGIN:
        text = f"the verifier ends within {ours:g} s, containerd waits {verifiers.timeout:g} s"
        yield Finding(check="timeout", severity="ok", text=text, place=place)
        return
    theirs = "cannot be read" if verifiers.timeout is None else f"is {verifiers.timeout:g} s"
    yield Finding(
        check="timeout",
        severity="wrong",
        text=f"per_verifier_timeout {theirs}, the verifier may take {ours:g} s: it is killed before it can say why",
        remedy=f'per_verifier_timeout = "{round(ours) + 2}s", or a smaller timeout under [verifier]',
        place=place,
    )


def _check_files(session: Session, wrapper: Wrapper) -> Iterator[Finding]:
    folder = session.settings.memory_folder
    try:
        GuardedFile(folder / "seen.json").change(lambda: None)
        session.memory.load(parse_gun("localhost/doctor"))
    except TrustError as error:
        yield _fails("state", error, str(folder), "the verifier refuses every image that needs a signature")
    else:
        text = "rollback memory can be read and written (by this user; containerd runs as root)"
        yield Finding(check="state", severity="ok", text=text, place=str(folder))
    if wrapper.config is None:
        text = "the verifier goes by the environment and home of containerd, which may be others than those seen here"
        remedy = "trust hook containerd --bin-dir DIR --config FILE"
        yield Finding(check="settings", severity="note", text=text, remedy=remedy, place=str(session.settings.home))


def _check_names(session: Session, policy: Policy | None, files: Sequence[ConfigFile]) -> Iterator[Finding]:
    settings = session.settings
    for entry in settings.verifier.allow:
        if entry.digest is None:
            yield Finding(
                check="allow",
                severity="note",
                text=f"{entry} is allowed with whatever content its registry serves",
                remedy="name one image and its digest, NAME@sha256:HEX, where that is possible",
                place=f"{settings.file}: verifier.allow",
            )
    try:
        pinned = [*session.pins.load(), *session.pins.patterns()]
    except TrustError as error:
        yield _fails("pins", error, str(settings.home), "every image that needs a signature is refused")
        return
    in_policy = any(rule.pins for rule in policy.rules) if policy else False
    text = f"{counted(len(pinned), 'name or pattern is', plural='names and patterns are')} pinned"
    if pinned or in_policy:
        yield Finding(check="pins", severity="ok", text=text, place=str(settings.home / "pins.toml"))
    else:
        yield Finding(
            check="pins",
            severity="note",
            text="nothing is pinned: only what stands under [verifier] allow can be pulled",
            remedy=f"trust --home {settings.home} pin NAME FINGERPRINT",
            place=str(settings.home / "pins.toml"),
        )
    for image, place in sandbox_images(files):
        try:
            reference = parse_reference(image)
        except InvalidName:
            continue
        known = any(entry.allows(reference.gun, entry.digest or "") for entry in settings.verifier.allow)
        known = known or _is_exempted(policy, reference, session.at)
        if not known and reference.gun not in pinned and not in_policy:
            yield Finding(
                check="sandbox-image",
                severity="wrong",
                text=f"every pod needs {image}, which is neither pinned nor allowed: no pod can start on a new node",
                remedy=f"name {reference.gun}@sha256:HEX under [verifier] allow in {settings.file}",
                place=place,
            )


def _is_exempted(policy: Policy | None, reference: ImageReference, at: datetime) -> bool:
    """Return whether a rule of the policy lets an image run whose trust data nobody has."""
    if policy is None:
        return False
    try:
        rule = policy.rule_for(
            policy.trust_name(reference.gun), tag=tag_meant(reference), digest=reference.digest, at=at
        )
    except PolicyRefused:
        return False
    return rule.mode in {"allow", "audit"}


def _fails(check: str, error: TrustError, place: str, effect: str) -> Finding:
    return Finding(check=check, severity="wrong", text=f"{error}: {effect}", remedy=f"put {place} right", place=place)

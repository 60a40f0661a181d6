"""Check a node for ways to pull images unverified, as far as that can be seen from outside containerd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from trustcli.doctor.containerd.config import ConfigFile, Verifiers, judge_config, read_verifiers
from trustcli.doctor.containerd.files import load_config
from trustcli.doctor.containerd.verifier import check_our_verifier
from trustcli.doctor.findings import Finding
from trustcli.hooks.bin_dir import HookFile, entries, open_to_others

_UNSTOPPABLE: Final = (
    ("ctr image pull --local", "pulls in the client, which asks no verifier"),
    (
        "ctr images import",
        "and every other import of an archive asks no verifier; nor do images that are there already",
    ),
)


def check_node(config: Path) -> list[Finding]:
    """Return all findings about a node, given the path of containerd's configuration file."""
    files, findings = load_config(config)
    if files:
        verifiers = read_verifiers(files)
        findings += [*judge_config(files), *_check_calls(verifiers, files)]
    for what, effect in _UNSTOPPABLE:
        remedy = "let nobody but root reach containerd's socket; alert on its use"
        findings.append(Finding(check="outside", severity="note", text=f"{what} {effect}", remedy=remedy))
    return findings


def _check_calls(verifiers: Verifiers, files: Sequence[ConfigFile]) -> Iterator[Finding]:
    folder = Path(verifiers.bin_dir)
    try:
        found = entries(folder) if verifiers.bin_dir else []
    except FileNotFoundError:
        found = []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name holds what no path may hold"
        yield Finding(
            check="bin-dir",
            severity="wrong",
            text=f"{folder} cannot be read ({why}): containerd refuses every pull",
            remedy=f"make it a folder, then {_install(verifiers.bin_dir)}",
            place=verifiers.place,
        )
        return
    if not found:
        yield Finding(
            check="bin-dir",
            severity="wrong",
            text=f"{verifiers.bin_dir or 'bin_dir'} is missing or empty: every image passes",
            remedy=_install(verifiers.bin_dir),
            place=verifiers.place,
        )
        return
    yield from _check_entries(verifiers, found)
    ours = [entry for entry in found if entry.ours is not None]
    for entry in ours:
        yield from check_our_verifier(entry, verifiers, files)


def _check_entries(verifiers: Verifiers, found: Sequence[HookFile]) -> Iterator[Finding]:
    for entry in found:
        if entry.problem:
            yield Finding(
                check="bin-dir",
                severity="wrong",
                text=f"{entry.name} {entry.problem}, and containerd executes every entry: every pull is refused",
                remedy=f"rm -r {entry.path}",
                place=str(entry.path),
            )
    for path in (Path(verifiers.bin_dir), *(entry.path for entry in found if not entry.problem)):
        if open_to_others(path):
            yield Finding(
                check="bin-dir",
                severity="wrong",
                text=f"{path} may be changed by others than its owner: they could take the verifier away",
                remedy=f"chmod go-w {path}",
                place=str(path),
            )
    called = found if verifiers.max_verifiers < 0 else found[: verifiers.max_verifiers]
    skipped = [entry.name for entry in found[len(called) :]]
    if skipped:
        yield Finding(
            check="max-verifiers",
            severity="wrong",
            text=f"max_verifiers is {verifiers.max_verifiers}, and there are {len(found)} entries: "
            f"{', '.join(skipped)} are never called",
            remedy=f"set max_verifiers to at least {len(found)}, or take entries away",
            place=f"{verifiers.place}.max_verifiers",
        )
    if any(entry.ours for entry in called):
        names = ", ".join(entry.name for entry in called if entry.ours)
        yield Finding(check="verifier", severity="ok", text=f"containerd calls {names}", place=verifiers.bin_dir)
    else:
        yield Finding(
            check="verifier",
            severity="wrong",
            text="trust-image-verifier is not among what containerd calls, or its script was changed",
            remedy=_install(verifiers.bin_dir),
            place=verifiers.bin_dir,
        )


def _install(bin_dir: str) -> str:
    """Return the command that puts our verifier into containerd's folder; DIR stands for one that is not set."""
    return f"trust hook containerd --bin-dir {bin_dir or 'DIR'} --config FILE"

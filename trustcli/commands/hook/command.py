"""`trust hook`: install a pull-time hook, or be one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trustcli.commands.hook.admission import admission
from trustcli.commands.hook.proxy import proxy
from trustcli.config.settings import load_hook_settings
from trustcli.console.exit_codes import DONE
from trustcli.errors import HookNotInstalled
from trustcli.hooks.bin_dir import entries
from trustcli.hooks.wrapper import NAME, Wrapper, verifier_program, write_wrapper
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_NEXT = """\
containerd must know the folder. In a file of its own that `imports` names, or in /etc/containerd/config.toml:

version = 3
required_plugins = ["io.containerd.image-verifier.v1.bindir"]

[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = {bin_dir}
  max_verifiers = 10
  per_verifier_timeout = "{seconds}s"

required_plugins keeps a containerd that is too old to have verifiers from starting. Restart containerd, then:
trust doctor containerd"""
_MARGIN = 2
"""Seconds from our own refusal, which says why, until containerd kills the process."""


@app.callback()
def _group() -> None:
    """Put a pull-time hook in place, or be one."""


app.command("admission")(admission)
app.command("proxy")(proxy)


@app.command("containerd")
def containerd(
    ctx: typer.Context,
    bin_dir: Annotated[Path, typer.Option("--bin-dir", metavar="DIR", help="containerd's folder of image verifiers")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="the verifier's settings, a trust.toml")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="where the verifier keeps memory and cache")
    ] = None,
) -> int:
    """Write the file that containerd executes at every pull, and say what containerd's configuration needs."""
    session: Session = ctx.obj
    config = config.absolute() if config else None
    state = state.absolute() if state else None
    settings = load_hook_settings(session.environ, config=config, state=state)
    folder = bin_dir.absolute()
    others = _others(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wrapper = Wrapper(program=verifier_program(), config=config, state=state)
        written = write_wrapper(folder, wrapper)
    except OSError as error:
        raise HookNotInstalled(place=str(folder), reason=error.strerror or type(error).__name__) from error
    session.output.result(str(written))
    seconds = max(10, round(settings.verifier.timeout) + _MARGIN)
    for name in others:
        session.output.notice(f"{name} lies there, too: containerd asks both, and both must allow")
    session.output.paragraph(*_NEXT.format(bin_dir=_toml(str(folder)), seconds=seconds).split("\n"))
    session.output.document({"wrapper": str(written), "program": str(wrapper.program), "exit": DONE})
    return DONE


def _others(folder: Path) -> list[str]:
    """Return the names of the other verifiers in the folder. Raises: HookNotInstalled if an entry is no program."""
    try:
        found = entries(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HookNotInstalled(place=str(folder), reason=error.strerror or type(error).__name__) from error
    found = [entry for entry in found if entry.name != NAME or entry.path.is_dir()]  # our own is replaced
    problems = [f"{entry.name} {entry.problem}" for entry in found if entry.problem]
    if problems:
        reason = (
            f"containerd executes every entry, so that it would refuse every pull: {', '.join(problems)}; take it away"
        )
        raise HookNotInstalled(place=str(folder), reason=reason)
    return [entry.name for entry in found]


def _toml(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string

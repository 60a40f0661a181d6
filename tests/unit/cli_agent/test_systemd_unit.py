"""docs/deploy/trust-agent.service starts what there is, and where the guide and the programs look for it."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from trustcli.commands import agent
from trustcli.hooks.agent.place import DEFAULT

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy"


def settings(name: str) -> dict[str, str]:
    lines = (line for line in (DEPLOY / name).read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_it_starts_the_agent_where_programs_look_for_it() -> None:
    _, command, *words = shlex.split(settings("trust-agent.service")["ExecStart"])
    known = {name for parameter in typer.main.get_command(agent.app).params for name in parameter.opts}
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert command == "agent"
    assert set(options) <= known
    assert options["--socket"] == DEFAULT
    assert settings("trust-agent.service")["RuntimeDirectory"] == Path(DEFAULT).parent.name
    assert Path(options["--state"]).parent.name == settings("trust-agent.service")["StateDirectory"]


def test_it_may_do_no_more_than_the_server() -> None:
    server, unit = settings("trust-server.service"), settings("trust-agent.service")
    hardening = {name for name in server if name.startswith(("NoNew", "Private", "Protect", "Restrict"))}
    assert {name: unit.get(name) for name in hardening} == {name: server[name] for name in hardening}
    assert unit["CapabilityBoundingSet"] == "", "root without what makes root mighty"

"""The environment of a pull-time hook: if a settings file is named, the caller's TRUST_ variables do not count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trustcli.config.line_ends import plain_environment


def hook_environment(environ: Mapping[str, str], config: Path | None) -> dict[str, str]:
    """Return the environment that counts for a hook. `config`: its settings file, if one is named."""
    found = dict(plain_environment(environ))
    if config is None:
        return found
    found = {k: v for k, v in found.items() if not k.startswith(("TRUST_", "DOCKER_CONTENT_TRUST_"))}
    found.setdefault("DOCKER_CONFIG", str(config.parent / "docker"))
    return found

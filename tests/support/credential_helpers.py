"""Credential helpers, as programs on a PATH of their own, which note how they are called."""

from __future__ import annotations

from pathlib import Path

_HELPER = """\
#!/bin/sh
read -r key
echo "{name} $1 $key $(env | grep -c PASSPHRASE)" >> {calls}
{answer}
"""
_KNOWN = 'echo "{{\\"ServerURL\\":\\"$key\\",\\"Username\\":\\"{name}\\",\\"Secret\\":\\"pw\\"}}"'
_UNKNOWN = "echo 'credentials not found in native keychain'; exit 1"
_BROKEN = "echo 'the keychain is locked'; exit 1"


class Helpers:
    """Programs `docker-credential-NAME` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        folder.mkdir()

    def add(self, name: str, answer: str) -> None:
        """Add one that has every login (`known`), none (`unknown`), or fails (`broken`)."""
        said = {"known": _KNOWN.format(name=name), "unknown": _UNKNOWN, "broken": _BROKEN}[answer]
        program = self.folder / f"docker-credential-{name}"
        program.write_text(_HELPER.format(name=name, calls=self._calls, answer=said))
        program.chmod(0o755)

    def calls(self) -> list[str]:
        """How they were called since the last time: name, verb, key, number of variables with passphrases."""
        found = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return found

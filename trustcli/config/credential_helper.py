"""Ask a credential helper: `docker-credential-NAME get|store|erase`, which reads from its input and writes JSON.

Protocol: docker/docker-credential-helpers. Only logins at trust servers are stored with one and erased.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trustcli.config.credential import TOKEN_USER, TOKEN_VARIABLE, Credential
from trustcli.errors import SettingsUnusable
from trustdata import bounded_json

if TYPE_CHECKING:
    import subprocess

HELPER_TIMEOUT: Final = 60.0
"""Seconds that a credential helper may take, unless a caller sets another limit: it may ask its user something."""

_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_NOT_FOUND: Final = "credentials not found"


class CredentialHelper:
    """The helper programs that a configuration file names. `config`: the file, for messages. `timeout`: seconds."""

    def __init__(self, environ: Mapping[str, str], *, config: str, timeout: float) -> None:
        self._environ = environ
        self._config = config
        self._timeout = timeout

    def get(self, name: str, key: str) -> Credential | None:
        """Return what the helper of this name has for a key of `auths`, or None. Raises: SettingsUnusable."""
        output = self._asked(name, "get", key)
        return None if output is None else _parse_helper_output(output, f"docker-credential-{name}", key)

    def store(self, name: str, key: str, username: str, password: str) -> None:
        """Have the helper of this name keep a login. Raises: SettingsUnusable."""
        import json

        self._asked(name, "store", json.dumps({"ServerURL": key, "Username": username, "Secret": password}))

    def erase(self, name: str, key: str) -> None:
        """Have the helper of this name forget a login, if it has that. Raises: SettingsUnusable."""
        self._asked(name, "erase", key)

    def _asked(self, name: str, verb: str, request: str) -> bytes | None:
        """Run a helper and return what it says; None if it has no such login. Raises: SettingsUnusable."""
        import subprocess  # most invocations need no helper: start-up time

        if not _HELPER_NAME.fullmatch(name):
            reason = f"names a credential helper {name!r}, which is not a valid program name"
            raise SettingsUnusable(place=self._config, reason=reason)
        program = f"docker-credential-{name}"
        try:
            done = self._run(program, verb, request)
        except FileNotFoundError as error:
            raise SettingsUnusable(place=program, reason=f"not found, but {self._config} names it") from error
        except subprocess.TimeoutExpired:
            reason = f"gave no answer within {self._timeout:g} seconds"
            raise SettingsUnusable(place=program, reason=reason) from None  # the cause holds the helper's output
        except OSError as error:
            raise SettingsUnusable(place=program, reason=error.strerror or "could not be started") from error
        if done.returncode != 0:
            output = done.stdout.decode(errors="replace").strip() or done.stderr.decode(errors="replace").strip()
            if _NOT_FOUND in output.lower():
                return None
            # A helper reports failures on stdout, where a success would print the secret.
            detail = "" if output.startswith("{") else f": {output.splitlines()[0]}" if output else ""
            raise SettingsUnusable(place=program, reason=f"failed with status {done.returncode}{detail}")
        return done.stdout

    def _run(self, program: str, verb: str, request: str) -> subprocess.CompletedProcess[bytes]:
        """Run a helper to its end; if it takes too long, kill it and all processes that it started."""
        import signal
        import subprocess
        from contextlib import suppress

        with subprocess.Popen(
            [program, verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_clean(self._environ),
            start_new_session=True,  # so that its children, which hold the pipes, can be killed as one group
        ) as process:
            try:
                stdout, stderr = process.communicate(request.encode(), timeout=self._timeout)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess([program], process.returncode, stdout, stderr)


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without secrets that are for other programs: passphrases, our token, Notary's login."""
    from keys.child_environment import without_passphrases

    kept = without_passphrases(environ)
    return {name: value for name, value in kept.items() if name != TOKEN_VARIABLE and not _is_notary_secret(name)}


def _is_notary_secret(name: str) -> bool:
    return name.startswith("NOTARY_") and name.endswith(("_PASSPHRASE", "_AUTH"))


def _parse_helper_output(output: bytes, program: str, key: str) -> Credential | None:
    try:
        answer = bounded_json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise SettingsUnusable(place=program, reason="gave an answer without Username and Secret")
    if not secret:
        return None
    if username == TOKEN_USER:
        return Credential(source=program, entry=key, identity_token=secret)
    return Credential(source=program, entry=key, username=username, password=secret)

"""Change the logins at trust servers, in Docker's config.json or in the credential helper that it names.

Each has a key of its own, `content-trust+https://HOST[:PORT]`. So a registry on the same host keeps its login, and is
never given this one (docs/adr/0070).
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keys.durable_file import file_lock, make_private_folder, write_durably
from trustcli.config.auth_file import TRUST_LOGIN, AuthFile, is_old_form
from trustcli.config.credential_helper import HELPER_TIMEOUT, CredentialHelper
from trustcli.config.docker_config import docker_config_file
from trustcli.errors import SettingsUnusable
from trustdata import bounded_json

Auths = dict[str, Any]


class TrustLogins:
    """The logins at trust servers in Docker's configuration; `DockerConfig.trust_login` reads them.

    `server`: a host, and its port unless that is 443.
    """

    def __init__(self, environ: Mapping[str, str], *, helper_timeout: float = HELPER_TIMEOUT) -> None:
        """Find the file, and read nothing yet. Raises: SettingsUnusable (there is no home folder)."""
        self._path = docker_config_file(environ)
        self._helper = CredentialHelper(environ, config=str(self._path), timeout=helper_timeout)

    @property
    def path(self) -> str:
        """The path of the file, for messages."""
        return str(self._path)

    def store(self, server: str, username: str, password: str) -> str:
        """Store a login durably, and return where: the path of the file, or the name of a helper program.

        Every other entry stays as it is. Raises: SettingsUnusable, and then nothing was changed.
        """
        key, helper = TRUST_LOGIN + server, AuthFile(self._path).helper_name((TRUST_LOGIN + server,))
        entry = {} if helper else {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
        self._check_writable()
        if helper:
            self._helper.store(helper, key, username, password)
        self._change(lambda auths: auths.update({key: entry}))
        return f"docker-credential-{helper}" if helper else self.path

    def erase(self, server: str) -> bool:
        """Remove a login, and return whether there was one. Raises: SettingsUnusable."""
        key, file = TRUST_LOGIN + server, AuthFile(self._path)
        if key not in file.names():
            return False
        self._check_writable()
        if helper := file.helper_name((key,)):
            self._helper.erase(helper, key)
        self._change(lambda auths: auths.pop(key, None))
        return True

    def _check_writable(self) -> None:
        """Check that the file can be changed without loss. Raises: SettingsUnusable."""
        try:
            owner = self._path.stat().st_uid
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._unusable(error.strerror or "cannot be read") from error
        if owner != os.geteuid():  # the new file would be ours, and its user could not read it
            raise self._unusable(f"belongs to another user (uid {owner}), who must log in")

    def _change(self, change: Callable[[Auths], object]) -> None:
        try:
            make_private_folder(self._path.parent)
            file = self._path.resolve()  # a link stays one
            with file_lock(file):
                content = self._content(file)
                change(content.setdefault("auths", {}))
                text = json.dumps(content, indent="\t", ensure_ascii=False)
                write_durably(file, text.encode("utf-8", "surrogatepass"), mode=_mode(file))
        except OSError as error:
            raise self._unusable(error.strerror or "cannot be written") from error

    def _content(self, file: Path) -> Auths:
        """Return the whole file, to be written again. Raises: SettingsUnusable, OSError."""
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return {}
        AuthFile(file).names()  # says what is wrong with it, if anything is
        text = raw.decode("utf-8-sig", "strict").strip()
        content: Auths = bounded_json.loads(text.encode()) if text else {}
        if is_old_form(content):
            raise self._unusable(
                "has the form of an old .dockercfg, which has no room for this; docker login rewrites it"
            )
        return content

    def _unusable(self, reason: str) -> SettingsUnusable:
        return SettingsUnusable(place=self.path, reason=reason)


def _mode(file: Path) -> int:
    """Return the permissions of the file, less those of others, since it holds a secret from now on."""
    try:
        return stat.S_IMODE(file.stat().st_mode) & 0o700 | 0o600
    except FileNotFoundError:
        return 0o600

"""The last good copy of a policy that is distributed, for the time in which nobody can be asked for a newer one."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from keys.document_version import DocumentKind
from keys.record import record
from keys.rfc3339 import from_rfc3339, to_rfc3339
from trustcli.errors import SettingsUnusable
from trustcli.state.guarded_file import GuardedFile
from trustdata import bounded_json
from trustdata.document_version import refuse_newer

KIND: Final = DocumentKind(what="a kept policy", name="content-trust-kept-policy-")


@record
class KeptPolicy:
    """A policy whose digest was verified. `digest`: of the artifact (`sha256:HEX`). `text`: the TOML.

    `verified`: when trust data last said that this is the policy. `fresh_until`: when that trust data expires. Both in
    UTC.
    """

    digest: str
    text: str
    verified: datetime
    fresh_until: datetime

    def counts(self, at: datetime) -> bool:
        """Return whether it may be used while nobody can be asked. A clock that went back says nothing."""
        return self.verified <= at < self.fresh_until


class KeptPolicyFile:
    """The file of one distributed policy, of this user alone. `read_only`: what is to be kept is dropped."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._file = GuardedFile(path)
        self._read_only = read_only

    def load(self) -> KeptPolicy | None:
        """Return what is kept, or None. Raises: FileNewer, FileExposed, SettingsUnusable (damaged, or unreadable)."""
        place = str(self._file.path)
        try:
            raw = self._file.read()
            if raw is None:
                return None
            document = bounded_json.loads(raw)
            refuse_newer(KIND, document, path=place)
            if not KIND.is_known(document):
                raise SettingsUnusable(place=place, reason="is no kept policy; remove it")
            digest, text = document["digest"], document["text"]
            if not (isinstance(digest, str) and isinstance(text, str)):
                raise SettingsUnusable(place=place, reason="is damaged; remove it")
            verified, until = (from_rfc3339(document[member]) for member in ("verified", "fresh_until"))
        except OSError as error:
            raise SettingsUnusable(place=place, reason=error.strerror or type(error).__name__) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsUnusable(place=place, reason="is damaged; remove it") from error
        return KeptPolicy(digest=digest, text=text, verified=verified, fresh_until=until)

    def keep(self, policy: KeptPolicy) -> None:
        """Keep a policy in place of the one before. Durable on return.

        Raises: FileNewer (a newer program has written it), MemoryUnwritable, FileExposed.
        """
        if self._read_only:
            return
        document = {
            KIND.member: KIND.stated,
            "digest": policy.digest,
            "verified": to_rfc3339(policy.verified),
            "fresh_until": to_rfc3339(policy.fresh_until),
            "text": policy.text,
        }

        def written() -> bytes:
            with suppress(SettingsUnusable):  # what is damaged is replaced
                self.load()
            return json.dumps(document).encode()

        self._file.change(written)


class UnkeptPolicyFile(KeptPolicyFile):
    """The same file, for a run that stores nothing on this machine."""

    def keep(self, policy: KeptPolicy) -> None:
        """Do nothing."""

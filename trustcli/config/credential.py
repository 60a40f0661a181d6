"""A credential for one server, as Docker's configuration or a credential helper stores it."""

from __future__ import annotations

from dataclasses import dataclass, field

TOKEN_USER = "<token>"  # noqa: S105 -- the user name with which Docker stores an identity token in place of a password
TOKEN_VARIABLE = "TRUST_TOKEN"  # noqa: S105
"""The variable with a token for a trust server."""
TOKEN_FILE_VARIABLE = "TRUST_TOKEN_FILE"  # noqa: S105
"""The variable that names the file with such a token."""
TOKEN_BEGINNINGS = ("ct_", "cs_")
"""How the tokens of trust servers begin; no name of a user or a file of theirs does."""
TOKEN_LOGIN = "<trust-token>"  # noqa: S105
"""The user name under which a token for a trust server is stored, as its password; nobody has such a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is stored for one server; an absent part is empty.

    `source`: the file or helper. `entry`: the key under which it was found there. Both for messages.
    """

    source: str
    entry: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def is_api_token(self) -> bool:
        """Whether it is a token for a trust server, which is sent to it as it is."""
        return self.username == TOKEN_LOGIN

    @property
    def label(self) -> str:
        """User and source for messages; never a secret."""
        if self.is_api_token:
            return f"the owner of the token in {self.source}"
        return f"{self.username} ({self.source})" if self.username else self.source


def octets(secret: str) -> bytes:
    """Return a name or password as it is sent: in UTF-8, or as the bytes that it was read from where those are none.

    Half a character of JSON (a lone surrogate) becomes `?`: what it should have been, nobody knows.
    """
    try:
        return secret.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return secret.encode(errors="replace")

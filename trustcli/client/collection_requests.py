"""How requests to trust servers name a collection: in their path, and in the scope of the token that they need.

Scopes are those of the `distribution` registry's token authentication, which Notary's server has, too.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from trustdata.gun import GUN, parse_gun


def gun_in_path(gun: GUN) -> str:
    """Return a name as it stands in a path: only the brackets of an IPv6 host must be quoted. Raises: InvalidName."""
    return quote(parse_gun(gun), safe="/:")


CATALOG_SCOPE: Final = "registry:catalog:*"
"""The scope of requests about all names of a server."""


def pull_scope(gun: GUN) -> str:
    """Return the scope of reading."""
    return f"repository:{gun}:pull"


def push_scope(gun: GUN) -> str:
    """Return the scope of publishing, and of asking for the server's keys."""
    return f"repository:{gun}:pull,push"


def full_scope(gun: GUN) -> str:
    """Return the scope of deleting, of new keys of the server, and of taking over a collection."""
    return f"repository:{gun}:*"

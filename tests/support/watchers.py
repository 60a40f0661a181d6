"""Clients that look on while the keys of many collections change: ours, python-tuf's, `notary`, `docker`.

None of them has a key or is told anything: each begins with the first root and follows what the server has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from tests.support.docker_client import DockerUser
from tests.support.notary_client import NotaryUser
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient

Released = Mapping[str, Mapping[str, str]]
"""Per collection, the digest (`sha256:HEX`) of each tag that clients are to find."""
_AT_ONCE: Final = 25
"""So many collections for one command, which has a time limit."""


class Watcher(Protocol):
    """Who looks."""

    def sees(self, released: Released) -> None:
        """Raises: AssertionError, if what is found is not exactly this."""


class TrustReader:
    """`trust verify` at one machine, which has been told the fingerprints."""

    def __init__(self, user: TrustUser, pins: Mapping[str, str]) -> None:
        self.user = user
        for name, pin in pins.items():
            user.knows(name, pin)

    def sees(self, released: Released) -> None:
        for names in _parts(list(released)):
            images = [(name, tag, digest) for name in names for tag, digest in released[name].items()]
            printed = self.user.run("verify", *(f"{name}:{tag}" for name, tag, _ in images)).stdout
            assert printed.splitlines() == [f"{name}@{digest}" for name, _, digest in images]


class TufReader:
    """`tuf.ngclient`, with a folder for each collection."""

    def __init__(self, folder: Path, server: str, names: Sequence[str]) -> None:
        self._clients = {name: TufClient(folder / name, server, name) for name in names}

    def sees(self, released: Released) -> None:
        for name, tags in released.items():
            assert {tag: self._clients[name].digest_of(tag) for tag in tags} == tags, name


class NotaryReader:
    """`notary list`, of one collection in `each`: others at each look, so that all get their turn."""

    def __init__(self, user: NotaryUser, *, each: int = 1) -> None:
        self._user = user
        self._each = each
        self._looks = 0

    def sees(self, released: Released) -> None:
        chosen = list(released)[self._looks % self._each :: self._each]
        self._looks += 1
        for name in chosen:
            found = {tag: f"sha256:{row.digest}" for tag, row in self._user.listed(name).items()}
            assert found == released[name], name


class DockerReader:
    """`docker trust inspect` of all, and a pull of the first tag of one of them by a real engine."""

    def __init__(self, user: DockerUser) -> None:
        self._user = user

    def sees(self, released: Released) -> None:
        for names in _parts(list(released)):
            for name, image in zip(names, self._user.inspect(*names), strict=True):
                found = {row["SignedTag"]: f"sha256:{row['Digest']}" for row in image["SignedTags"]}
                assert found == released[name], name
        name, tags = next(iter(released.items()))
        tag, digest = next(iter(tags.items()))
        self._user.run("pull", "--quiet", f"{name}:{tag}")
        (known,) = json.loads(self._user.run("image", "inspect", f"{name}:{tag}"))
        assert known["RepoDigests"] == [f"{name}@{digest}"]
        self._user.run("rmi", "--force", f"{name}:{tag}", f"{name}@{digest}")


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(names), _AT_ONCE):
        yield names[begin : begin + _AT_ONCE]

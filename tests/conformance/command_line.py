"""The conformance command line: our Updater behind three verbs, a flat folder as cache, plain HTTP on loopback."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.support.delegation_search import search_delegations
from trustcli.client.local_state import Known
from trustcli.client.updater import Updater
from trustcli.errors import RemoteUnreachable
from trustdata.errors import (
    ContentMismatch,
    NotSigned,
    TooLarge,
    TrustError,
)
from trustdata.gun import GUN
from trustdata.lifetimes import UNLIMITED_LIFE
from trustdata.model import TargetFile
from trustdata.roles import ROOT, RoleName, role_to_path
from trustdata.verification.trust_pinning import Pin, SourcedPin
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire.tuf import TUF

_ANY = GUN("conformance")
_SECONDS = 20.0
_GONE = (403, 404)


class FlatCache:
    """`MetadataCache` as the conformance suite looks at it: one unversioned file per role, root among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def roots(self) -> list[bytes]:
        newest = self.load(ROOT)
        return [] if newest is None else [newest]

    def numbered_roots(self) -> dict[int, bytes]:
        return {TUF.parse(ROOT, raw).version: raw for raw in self.roots()}

    def store_root(self, version: int, raw: bytes) -> None:
        del version
        self.store(ROOT, raw)

    def drop_roots(self) -> None:
        pass  # there is only one, and the next takes its place

    def load(self, role: RoleName) -> bytes | None:
        try:
            return self._path(role).read_bytes()
        except OSError:
            return None

    def store(self, role: RoleName, raw: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(role), raw)

    def drop(self, role: RoleName) -> None:
        self._path(role).unlink(missing_ok=True)

    def _path(self, role: RoleName) -> Path:
        return self._folder / f"{role_to_path(role)}.json"


def write_whole(path: Path, raw: bytes) -> None:
    """All or nothing of a file."""
    draft = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.new")
    draft.write_bytes(raw)
    draft.replace(path)


class PlainWeb:
    """`MetadataRemote` over plain HTTP, a connection for each file."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._folder = parts.path.rstrip("/")
        self._netloc = parts.netloc

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        del gun
        try:
            with closing(HTTPConnection(self._netloc, timeout=_SECONDS)) as connection:
                connection.request("GET", f"{self._folder}/{filename}", headers={"Connection": "close"})
                answer = connection.getresponse()
                body = answer.read(limit + 1)
                answer.close()
        except (OSError, HTTPException) as error:
            raise RemoteUnreachable(remote=self.name, reason=str(error)) from error
        if answer.status in _GONE:
            return None
        if answer.status != 200:
            raise RemoteUnreachable(remote=self.name, reason=f"status {answer.status}")
        if len(body) > limit:
            raise TooLarge(what=filename, limit=limit)
        return body


def main(arguments: Sequence[str]) -> int:
    """Exit status of the command line: 0 or 1, nothing else."""
    parser = argparse.ArgumentParser(prog="client", exit_on_error=False)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir", type=Path)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("init").add_argument("trusted_root", type=Path)
    verbs.add_parser("refresh")
    verbs.add_parser("download")
    try:
        options = parser.parse_args(arguments)
        _run(options)
    except (TrustError, OSError, argparse.ArgumentError, ValueError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    except SystemExit:
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    cache = FlatCache(options.metadata_dir)
    if options.verb == "init":
        cache.store(ROOT, options.trusted_root.read_bytes())
        return
    if options.metadata_url is None:
        raise ValueError("--metadata-url is missing")
    updater = _refreshed(cache, options.metadata_url)
    if options.verb == "download":
        if options.target_base_url is None or options.target_dir is None:
            raise ValueError("--target-base-url and --target-dir are missing")
        for name in options.target_name:
            _download(updater, name, options.target_base_url, options.target_dir)


def _refreshed(cache: FlatCache, url: str) -> Updater:
    trusted = cache.load(ROOT)
    if trusted is None:
        raise ValueError("no trusted root: init first")
    pin = SourcedPin(pin=Pin("sha256", hashlib.sha256(trusted).hexdigest()), source="metadata-dir")
    known = Known(cache=cache, pins=[pin])
    at = datetime.now(UTC)
    TrustedSet(gun=_ANY, root=trusted, wire=TUF, at=at, unsafe_accept_any_name=True)  # before the server is asked
    updater = Updater(
        gun=_ANY,
        wire=TUF,
        remote=PlainWeb(url),
        known=known,
        at=at,
        max_life=UNLIMITED_LIFE,
        unsafe_accept_any_name=True,
    )
    updater.refresh()
    return updater


def _download(updater: Updater, name: str, url: str, folder: Path) -> None:
    found = search_delegations(name, updater.load)
    if found is None:
        raise NotSigned(gun="conformance", tag=name)
    target = found[1]
    place = folder / quote(name, safe="")
    if place.is_file() and _fits(target, place.read_bytes()) is None:
        return
    remote_name = name
    if updater.roles()[ROOT].root.consistent_snapshot:
        parent, separator, last = name.rpartition("/")
        remote_name = f"{parent}{separator}{next(iter(target.hashes.values()))}.{last}"
    raw = PlainWeb(url).fetch(_ANY, remote_name, limit=target.length)
    if raw is None:
        raise NotSigned(gun="conformance", tag=name)
    misfit = _fits(target, raw)
    if misfit is not None:
        raise ContentMismatch(role=found[0], what=f"{misfit} of {name}", expected="what is signed", found="another")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(place, raw)


def _fits(target: TargetFile, raw: bytes) -> str | None:
    """What does not fit: the length, or the name of a hash."""
    if len(raw) != target.length:
        return "length"
    for algorithm, digest in target.hashes.items():
        if algorithm not in hashlib.algorithms_guaranteed or hashlib.new(algorithm, raw).hexdigest() != digest:
            return algorithm
    return None

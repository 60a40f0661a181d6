"""Attackers that ask for large files and read them slowly."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from multiprocessing.synchronize import Event
from typing import Final

from tests.support.attackers import Target

READERS: Final = 82
FILES: Final = 20
"""How many large files the attacker has: more than there is memory for bodies that are being sent."""
RATE: Final = 4_700
"""Bytes that each reader takes in a second."""


def ask(target: Target, path: str, *headers: str, source: str = "", method: str = "GET") -> socket.socket:
    """Ask for a file, and read nothing of the answer. Raises: OSError."""
    client: socket.socket = socket.socket()
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.bind((source or target.source, 0))
        client.connect((target.host, target.port))
        if target.ca:
            trusting = ssl.create_default_context(cafile=target.ca)
            client = trusting.wrap_socket(client, server_hostname=target.host)
        lines = [f"{method} {path} HTTP/1.1", "Host: a", *headers]
        if target.token:
            lines.append(f"Authorization: Bearer {target.token}")
        client.sendall("\r\n".join([*lines, "", ""]).encode())
    except OSError:
        client.close()
        raise
    return client


def read_slowly(target: Target, stop: Event, *, paths: Sequence[str], headers: Sequence[str] = ()) -> None:
    """Have READERS read these files, in turn, at RATE each."""
    readers: list[socket.socket] = []
    number = 0
    while not stop.is_set():
        while len(readers) < READERS:
            number += 1
            try:
                readers.append(ask(target, paths[number % len(paths)], *headers))
            except OSError:
                break
        stop.wait(1)
        for each in list(readers):
            try:
                taken = each.recv(RATE)
            except OSError:
                taken = b""
            if not taken:
                readers.remove(each)
                with contextlib.suppress(OSError):
                    each.close()
    for each in readers:
        each.close()


def readers_of_attackers_file(target: Target, stop: Event) -> None:
    """Read the newest targets of the attacker's own collection, which is too large for the kernel's buffers."""
    read_slowly(target, stop, paths=[f"/tuf/{target.gun}/metadata/targets.json"])


def file_names(target: Target) -> list[str]:
    """Return the names of the attacker's collections with large files."""
    return [f"{target.gun}{number}" for number in range(FILES)]


def readers_of_many_files(target: Target, stop: Event) -> None:
    """Read large files of many collections, each by a name that is kept in memory and by one that is not."""
    names = file_names(target)
    read_slowly(
        target, stop, paths=[f"/tuf/{name}/metadata/{file}targets.json" for file in ("", "2.") for name in names]
    )

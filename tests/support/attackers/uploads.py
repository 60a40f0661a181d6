"""Attackers that upload what takes much memory or time to judge, unsigned: nests, values, long texts, many keys.

The documents are as large and as full as the server lets them be, or far beyond that.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.synchronize import Event
from typing import Final

from tests.support.attackers import Target

RATE: Final = 8
"""Uploads each second, over as many connections."""
_BOUNDARY: Final = "5f" * 16
_CONNECTIONS: Final = 8
_SECONDS: Final = 30

_DIGEST: Final = {"tuf-1.0": b"ab" * 32, "notary-v1": b"A" * 43 + b"="}
_HEAD: Final = {
    "tuf-1.0": b'{"signatures":[],"signed":{"_type":"targets","expires":"2099-01-01T00:00:00Z",'
    b'"spec_version":"1.0.31","targets":{%b},"version":1,"x":[%b]}}',
    "notary-v1": b'{"signed":{"_type":"Targets","delegations":{"keys":{},"roles":[]},'
    b'"expires":"2099-01-01T00:00:00Z","targets":{%b},"version":1,"x":[%b]},"signatures":[]}',
}


def filled(unit: bytes, size: int) -> bytes:
    """A list's elements: the unit (which ends in a comma) as often as it fits."""
    return (unit * (size // len(unit)))[:-1]


def document(wire: str, *, tags: bytes = b"", foreign: bytes = b"") -> bytes:
    """A file of targets that nobody has signed, with these members of `targets` and elements of a foreign list."""
    return _HEAD[wire] % (tags, foreign)


def tags(wire: str, count: int, *, custom: bytes = b"") -> bytes:
    """So many tags, sorted. `custom`: a member before the others, with its comma."""
    entry = b'"%%06d":{%b"hashes":{"sha256":"%b"},"length":1}' % (custom, _DIGEST[wire])
    return b",".join(entry % number for number in range(count))


def worst_admitted(wire: str) -> Mapping[str, bytes]:
    """Files that are just within the limits, each the worst of its kind. Sizes are those of one file."""
    values = {"tuf-1.0": 790_000, "notary-v1": 1_240_000}[wire]
    size = {"tuf-1.0": 4_990_000, "notary-v1": 12_500_000}[wire]
    nest = b'{"":' * 27 + b"0" + b"}" * 27 + b","
    widest = "\N{GRINNING FACE}".encode()
    return {
        "objects": document(wire, foreign=filled(nest, values // (27 * 4 + 1) * len(nest))),
        "objects by the slow way": document(wire, foreign=b" " + filled(nest, values // (27 * 4 + 1) * len(nest))),
        "lists": document(wire, foreign=filled(b"[],", values // 2 * 3)),
        "texts": document(wire, foreign=b",".join(b'"%06x"' % n for n in range(min(values, size // 9 - 100)))),
        "members": document(
            wire, foreign=b"{%b}" % b",".join(b'"%06x":0' % n for n in range(min(values // 2, size // 11 - 100)))
        ),
        "wide text": document(wire, foreign=b'"' + widest + b"a" * size + b'"')[: size + 1000],
        "wide text by the slow way": document(wire, foreign=b' "' + widest + b"a" * (size - 500) + b'"'),
        "escapes": document(wire, foreign=b'"' + filled(b"\\n\\n", size - 500) + b'n"'),
        "tags": document(wire, tags=tags(wire, min(values // 12, size // 115))),
        "tags with custom": document(wire, tags=tags(wire, min(values // 17, size // 125), custom=b'"custom":{},')),
    }


def beyond(wire: str) -> Mapping[str, bytes]:
    """Files that no limit of values lets in, within the limit of bytes."""
    size = {"tuf-1.0": 4_990_000, "notary-v1": 12_500_000}[wire]
    return {
        "too many lists": document(wire, foreign=filled(b"[],", size - 1000)),
        "nests": document(wire, foreign=filled(b'{"":{"":{"":{"":0}}}},', size - 1000)),
        "depth": document(wire, foreign=b"[" * (size - 1000)),
    }


def form(parts: Mapping[str, bytes]) -> bytes:
    """A multipart body with these roles."""
    body = b""
    for role, raw in parts.items():
        disposition = f'Content-Disposition: form-data; name="files"; filename="{role}"'
        body += f"--{_BOUNDARY}\r\n{disposition}\r\n\r\n".encode() + raw + b"\r\n"
    return body + f"--{_BOUNDARY}--\r\n".encode()


def post(target: Target, wire: str, body: bytes) -> int:
    """Upload one body; the status of the answer, 0 without one."""
    gun = target.gun
    path = f"/api/v1/collections/{gun}/publish" if wire == "tuf-1.0" else f"/v2/{gun}/_trust/tuf/"
    connection: http.client.HTTPConnection
    if target.ca is not None:
        context = ssl.create_default_context(cafile=str(target.ca))
        connection = http.client.HTTPSConnection(
            target.host, target.port, timeout=_SECONDS, context=context, source_address=(target.source, 0)
        )
    else:
        connection = http.client.HTTPConnection(
            target.host, target.port, timeout=_SECONDS, source_address=(target.source, 0)
        )
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    try:
        connection.request("POST", path, body=body, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def worst_uploads(target: Target, stop: Event) -> None:
    """Upload the worst files that the limits admit, in both formats."""
    _upload(target, stop, _bodies(worst_admitted))


def nests(target: Target, stop: Event) -> None:
    """Upload files with far more values than the limits admit, and deep ones."""
    _upload(target, stop, _bodies(beyond))


def _bodies(documents: Callable[[str], Mapping[str, bytes]]) -> list[tuple[str, bytes]]:
    return [
        (wire, form({"targets": raw, "root": document(wire)}))
        for wire in ("tuf-1.0", "notary-v1")
        for raw in documents(wire).values()
    ]


def _upload(target: Target, stop: Event, bodies: Iterable[tuple[str, bytes]]) -> None:
    queue = list(bodies)

    def work(first: int) -> None:
        number = first
        while not stop.is_set():
            wire, body = queue[number % len(queue)]
            post(target, wire, body)
            number += 3  # so that the connections do not all send the same
            stop.wait(_CONNECTIONS / RATE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""Answer in the words of the OCI distribution specification 1.1, "Error Codes".

A refusal is 403 with the code DENIED: docker, podman, skopeo and containerd show its message; of 5xx most show none.
"""

from __future__ import annotations

import json
from typing import Final

from trustcli.console.output import one_line
from trustcli.hooks.serving.messages import Response

_JSON: Final = (b"content-type", b"application/json")
API_VERSION: Final = (b"docker-distribution-api-version", b"registry/2.0")
_MOST: Final = 1000
"""Characters of a message. Events of Kubernetes, where it may end up, have 1024."""


def failure(status: int, code: str, sentence: str, *headers: tuple[bytes, bytes]) -> Response:
    """Return an answer with one error."""
    line = one_line(sentence)
    message = line if len(line) <= _MOST else f"{line[:_MOST]}..."
    document = {"errors": [{"code": code, "message": message, "detail": None}]}
    return Response(status=status, headers=[_JSON, API_VERSION, *headers], body=json.dumps(document).encode())


def refused(sentence: str) -> Response:
    """Return the answer for what may not be pulled."""
    return failure(403, "DENIED", sentence)


def unsupported(sentence: str) -> Response:
    """Return the answer for what this registry does not do."""
    return failure(405, "UNSUPPORTED", sentence, (b"allow", b"GET, HEAD"))


def document(content: object, kind: str, *headers: tuple[bytes, bytes]) -> Response:
    """Return a JSON document. `kind`: its media type."""
    every = [(b"content-type", kind.encode()), API_VERSION, *headers]
    return Response(status=200, headers=every, body=json.dumps(content, separators=(",", ":")).encode())

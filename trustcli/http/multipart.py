"""Build the form in which metadata files are uploaded (RFC 7578): one part per role, the file's bytes verbatim."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from trustdata.roles import RoleName, role_to_path


def publish_form(
    files: Mapping[RoleName, bytes], *, encode: Callable[[RoleName], str] = role_to_path
) -> tuple[str, bytes]:
    """Return Content-Type and body. `encode`: turns a role into a file name in which nothing needs quoting."""
    # 128 random bits: no file that was signed before can hold the boundary.
    boundary = f"content-trust-{secrets.token_hex(16)}"
    parts: list[bytes] = []
    for role, raw in files.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{encode(role)}"\r\n'
        parts += [head.encode("ascii"), b"Content-Type: application/json\r\n\r\n", raw, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode("ascii"))
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)

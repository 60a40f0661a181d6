"""Key files as people bring them (tests/vectors/odd_keys), and what editors, mail and CI systems make of a good one."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Final

ODD_KEYS: Final = Path(__file__).parents[1] / "vectors" / "odd_keys"
DOCKER_1_8: Final = ODD_KEYS / "docker-1.8"
ROOT_PASSPHRASE: Final = "rootpass-1"
REPOSITORY_PASSPHRASE: Final = "repopass-1"

Change = Callable[[bytes], bytes]


def _without_blank_line(pem: bytes) -> bytes:
    return pem.replace(b"\n\n", b"\n")


def _in_one_line(pem: bytes) -> bytes:
    return b" ".join(pem.split())


def _folded(pem: bytes) -> bytes:
    """As YAML folds: each line end becomes a blank, and a blank line becomes a line end."""
    return b"\n".join(b" ".join(part.split(b"\n")) for part in pem.split(b"\n\n"))


def _upper_case_names(pem: bytes) -> bytes:
    return pem.replace(b"role:", b"ROLE:").replace(b"gun:", b"Gun:").replace(b"DEK-Info:", b"Dek-info:")


def _encoded(encoding: str, mark: bytes = b"") -> Change:
    return lambda pem: mark + pem.decode().encode(encoding)


CHANGES: Final[dict[str, Change]] = {
    "as it is": lambda pem: pem,
    "CRLF": lambda pem: pem.replace(b"\n", b"\r\n"),
    "CR": lambda pem: pem.replace(b"\n", b"\r"),
    "no newline at the end": lambda pem: pem.rstrip(b"\n"),
    "newlines around it": lambda pem: b"\n\n" + pem + b"\n\n",
    "text around it": lambda pem: "Schlüssel von März:\n".encode("latin-1") + pem + b"-- \nAlice\n",
    "indented": lambda pem: b"".join(b"    " + line for line in pem.splitlines(keepends=True)),
    "blanks at line ends": lambda pem: pem.replace(b"\n", b" \t\n"),
    "no blank line after the headers": _without_blank_line,
    "header names in capitals": _upper_case_names,
    "headers without a blank": lambda pem: pem.replace(b": ", b":"),
    "byte order mark": lambda pem: codecs.BOM_UTF8 + pem,
    "UTF-16 of Windows": lambda pem: codecs.BOM_UTF16_LE + pem.replace(b"\n", b"\r\n").decode().encode("utf-16-le"),
    "UTF-16, big end first": _encoded("utf-16-be", codecs.BOM_UTF16_BE),
    "UTF-16 without a mark": _encoded("utf-16-le"),
    "UTF-16, big end first, without a mark": _encoded("utf-16-be"),
    "UTF-32": _encoded("utf-32-le", codecs.BOM_UTF32_LE),
    "blanks for line ends": _in_one_line,
    "folded by YAML": _folded,
    "written line ends": lambda pem: pem.replace(b"\n", b"\\n"),
    "written twice": lambda pem: pem.replace(b"\n", b"\\\\n"),
    "written CRLF in quotes": lambda pem: b'"' + pem.replace(b"\n", b"\\r\\n") + b'"',
    "a member of JSON": lambda pem: b'{"key": "' + pem.replace(b"\n", b"\\n") + b'"}',
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 of base64": lambda pem: base64.b64encode(base64.b64encode(pem)),
    "base64 in quotes": lambda pem: b'"' + base64.b64encode(pem) + b'"',
    "base64 of UTF-16": lambda pem: base64.b64encode(codecs.BOM_UTF16_LE + pem.decode().encode("utf-16-le")),
}
"""What happens to a key file on its way; the key in it stays what it was."""

"""Refuse files of a newer version than this program knows, whatever else stands in them."""

from __future__ import annotations

from keys.document_version import DocumentKind
from trustdata.errors import FileNewer


def refuse_newer(kind: DocumentKind, document: object, *, path: str) -> None:
    """Check that a parsed file is of no newer version than is known.

    To be called before anything else of the file is looked at, since a newer version may differ in everything.
    `path`: the file, for the message. Raises: FileNewer.
    """
    version = kind.newer(document)
    if version is not None:
        raise FileNewer(path=path, what=kind.what, version=version, known=kind.known)

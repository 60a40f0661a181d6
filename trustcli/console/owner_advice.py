"""What an owner may decide about stored files that a command would sign again."""

from __future__ import annotations

from trustdata.errors import ContentUnseen, ExpiredUnknown, NotVouchedFor, shown
from trustdata.roles import is_delegated


def advice_not_vouched_for(error: object) -> str:
    """Return how an owner accepts a stored file that nobody vouches for, or begins it empty; "" for another error."""
    if not isinstance(error, NotVouchedFor):
        return ""
    option = "--accept-expired" if isinstance(error, ExpiredUnknown) else "--accept-unsigned"
    role = shown(error.role)
    text = f"only if you know that exactly this content is right: {option} {role}@sha256:{error.sha256}"
    return f"{text}; to begin it without any tag: --start-empty {role}" if is_delegated(error.role) else text


def advice_content_unseen(error: object) -> str:
    """Return how an owner accepts what is new here: these very files; "" for another error."""
    if not isinstance(error, ContentUnseen):
        return ""
    files = " ".join(f"--accept-unseen {shown(file, 400)}" for file in error.files)
    return f"look at all of it with --plan; if it is right, the same command with {files}"

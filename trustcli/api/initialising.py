"""Make a collection for the Python API, as `trust init` with a template does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keys.error_record import about
from trustcli.api.values import Initialised
from trustcli.commands.support.creation import Recovery
from trustcli.commands.support.making import Making
from trustcli.commands.support.name_lists import collection_names
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.recovery_place import recovery_place
from trustcli.commands.support.template import Template, signer_options
from trustcli.session import Session


def init(
    session: Session,
    name: str,
    *,
    recovery_key: str | None,
    wire_format: str,
    root_keys: Sequence[str],
    threshold: int,
    signers: Mapping[str, str],
) -> Initialised:
    """Make a collection, or what is missing in it. Raises: UsageError, InvalidName, KeysError, TrustError."""
    (gun,) = collection_names([name])
    template = Template(
        wire=parse_format(wire_format),
        recovery=Recovery(place=None if recovery_key is None else recovery_place(recovery_key)),
        root_keys=tuple(root_keys),
        threshold=threshold,
        signers=signer_options(session, [f"{signer}={file}" for signer, file in signers.items()]),
    )
    with about(gun):
        done = Making(session, template, alike=True).make(gun)
    return Initialised(
        repository=str(gun),
        pin=done.row["pin"],
        format=done.row["format"],
        signers=tuple(done.row["signers"]),
        published=done.changed,
    )

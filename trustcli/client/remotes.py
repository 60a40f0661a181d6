"""Which client speaks the wire format of a collection to its trust server."""

from __future__ import annotations

from trustcli.client.collection import TrustServer
from trustcli.client.server_link import ServerLink
from trustcli.client.tuf_remote import TufRemote
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF


def remote_of(link: ServerLink, wire: WireFormat) -> TrustServer:
    """Return a client of the trust server for the format."""
    if wire.name == TUF.name:
        return TufRemote(link)
    from trustcli.client.notary_remote import NotaryRemote  # Notary v1 only: start-up time

    return NotaryRemote(link)

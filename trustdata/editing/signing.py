"""From content to a signed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keys.errors import SigningFailed
from trustdata.envelope import Envelope
from trustdata.model import Content, Signature, Signer
from trustdata.roles import RoleName
from trustdata.wire import WireFormat


def sign(content: Content, signers: Sequence[Signer], *, role: RoleName, wire: WireFormat) -> Envelope:
    """Sign `content` once with each signer. The file is parsed again, so that nothing leaves that we would not read.

    Raises: SigningFailed, MalformedMetadata, TooLarge.
    """
    payload = wire.payload(content)
    return _envelope(content, {}, payload, signers, role=role, wire=wire)


def add_signatures(envelope: Envelope, signers: Sequence[Signer], *, wire: WireFormat) -> Envelope:
    """The same content with further signatures beside those it has. Raises: as `sign`."""
    return _envelope(envelope.content, envelope.signatures, envelope.payload, signers, role=envelope.role, wire=wire)


def _envelope(
    content: Content,
    signatures: Mapping[str, Signature],
    payload: bytes,
    signers: Sequence[Signer],
    *,
    role: RoleName,
    wire: WireFormat,
) -> Envelope:
    collected = dict(signatures)
    for signer in signers:
        keyid = signer.public_key.keyid
        try:
            collected[keyid] = signer.sign(payload)
        except Exception as error:  # securesystemslib's signers raise what their devices and services raise
            raise SigningFailed(key=keyid, reason=type(error).__name__) from error
    return wire.parse(role, wire.serialize(content, collected))

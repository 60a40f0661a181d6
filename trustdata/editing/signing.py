"""Sign the content of a role and return the signed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keys.errors import SigningFailed
from trustdata.envelope import Envelope
from trustdata.model import Content, Signature, Signer
from trustdata.roles import RoleName
from trustdata.wire import WireFormat


def sign(content: Content, signers: Sequence[Signer], *, role: RoleName, wire: WireFormat) -> Envelope:
    """Sign `content` with each signer and return the file. It is parsed again, to refuse what readers would refuse.

    Raises: SigningFailed, MalformedMetadata, TooLarge.
    """
    payload = wire.payload(content)
    return _envelope(content, {}, payload, signers, role=role, wire=wire)


def add_signatures(envelope: Envelope, signers: Sequence[Signer], *, wire: WireFormat) -> Envelope:
    """Return the same file with additional signatures; existing ones are kept.

    Raises: SigningFailed, MalformedMetadata, TooLarge.
    """
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
        except Exception as error:  # a signer may raise any error of its device or service
            raise SigningFailed(key=keyid, reason=type(error).__name__) from error
    return wire.parse(role, wire.serialize(content, collected))

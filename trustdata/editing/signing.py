"""Sign the content of a role and return the signed file."""

from __future__ import annotations

from collections.abc import Sequence

from keys.errors import KeysError, SigningFailed
from trustdata.envelope import Envelope
from trustdata.model import Content, Signature, Signer
from trustdata.roles import RoleName
from trustdata.wire import WireFormat


def sign(content: Content, signers: Sequence[Signer], *, role: RoleName, wire: WireFormat) -> Envelope:
    """Sign `content` with each signer and return the file. It is parsed again, to refuse what readers would refuse.

    Raises: SigningFailed, what the holder of a key raises (KeysError), MalformedMetadata, TooLarge.
    """
    payload = wire.payload(content)
    signatures: dict[str, Signature] = {}
    for signer in signers:
        keyid = signer.public_key.keyid
        try:
            signatures[keyid] = signer.sign(payload)
        except KeysError:  # of a token, a service, a command, a store: it names what is at fault
            raise
        except Exception as error:  # a signer may raise any error of its device or service
            raise SigningFailed(key=keyid, reason=type(error).__name__) from error
    return wire.parse(role, wire.serialize(content, signatures))

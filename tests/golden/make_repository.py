"""Write the golden TUF repository anew: `python -m tests.golden.make_repository`. Its keys are public: test data.

Only when the format changes on purpose; the files in `tuf_repository/` are what others have verified.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from tests.simulator import keyring
from tests.simulator.owner import Owner, digest_of
from tests.simulator.repository import RepositorySimulator

FOLDER = Path(__file__).parent / "tuf_repository"
AT = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def published_key(name: str) -> CryptoSigner:
    """TEST KEY: its seed is its name, so it protects nothing."""
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(f"TEST KEY {name}".encode().ljust(32, b".")[:32]))


def build() -> RepositorySimulator:
    """The same bytes at every call: Ed25519 signatures are deterministic, time is fixed."""
    names = ("root", "recovery", "targets", "alice", "snapshot", "timestamp")
    before = keyring.signer
    try:
        keyring.signer = {name: published_key(name) for name in names}.__getitem__  # type: ignore[assignment]
        server = RepositorySimulator(at=AT)
        owner = Owner(server, "root", "recovery", "targets", "alice")
        owner.initialise()
        owner.sign("1.0", digest_of("first"))
        owner.add_signer("alice")
        owner.sign("2.0", digest_of("index"), digest_of("arm64"), digest_of("amd64"))
        return server
    finally:
        keyring.signer = before


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, raw in build().files.items():
        (FOLDER / name).write_bytes(raw)


if __name__ == "__main__":
    main()

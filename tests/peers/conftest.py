from __future__ import annotations

from tests.peers.stage import gun, owner, people, put, shared_registry, trust_server

__all__ = ["gun", "owner", "people", "put", "shared_registry", "trust_server"]

from __future__ import annotations

from tests.peers.stage import begun, gun, owner, people, put, shared_registry, trust_server

__all__ = ["begun", "gun", "owner", "people", "put", "shared_registry", "trust_server"]

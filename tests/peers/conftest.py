from __future__ import annotations

from tests.support.docker_client import docker_cli, docker_people, engine, unpacked_docker
from tests.support.handmade import hand, published
from tests.support.notary_client import notary_owner, notary_people, publisher, reader
from tests.support.stage import begun, gun, owner, people, put, shared_registry, trust_server
from tests.support.trust_servers import collection, peer_server

__all__ = [
    "begun",
    "collection",
    "docker_cli",
    "docker_people",
    "engine",
    "gun",
    "hand",
    "notary_owner",
    "notary_people",
    "owner",
    "peer_server",
    "people",
    "published",
    "publisher",
    "put",
    "reader",
    "shared_registry",
    "trust_server",
    "unpacked_docker",
]

"""What attacks on readers need: see under_attack.py."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.our_server import BenchCollection, OurServer
from tests.support.attackers import Target
from trustdata.gun import parse_gun

_TAGS: Final = 42_000
"""So many that targets.json has 4.7 MB."""


def large_file(server: OurServer) -> None:
    """Begin a collection of the attacker's whose targets do not fit into the kernel's buffers."""
    collection = BenchCollection(server, parse_gun(Target(host="", port=0).gun))
    collection.init()
    collection.send(collection.next_upload(range(_TAGS)))

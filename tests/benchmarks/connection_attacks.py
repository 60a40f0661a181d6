"""The attacks on connections and readers that are measured: see under_attack.py."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.our_server import BenchCollection, OurServer
from tests.benchmarks.under_attack import Attack
from tests.support.attackers import Target, connections, slow_readers
from trustdata.gun import parse_gun

_TAGS: Final = 42_000
"""So many that targets.json has 4.7 MB."""


def _large_file(server: OurServer) -> None:
    collection = BenchCollection(server, parse_gun(Target(host="", port=0).gun))
    collection.init()
    collection.send(collection.next_upload(range(_TAGS)))


CONNECTION_ATTACKS: Final = [
    Attack(what="half-open handshakes", attacker=connections.half_open, tls=True),
    Attack(what="half-open handshakes from 200 addresses", attacker=connections.half_open_from_everywhere, tls=True),
    Attack(what="half-open requests", attacker=connections.half_open),
    Attack(what="long heads from 200 addresses", attacker=connections.long_heads),
    Attack(what="200 handshakes a second", attacker=connections.handshakes, tls=True),
    Attack(what="82 slow readers", attacker=slow_readers.readers_of_attackers_file, prepare=_large_file),
    Attack(
        what="82 slow readers over TLS", attacker=slow_readers.readers_of_attackers_file, tls=True, prepare=_large_file
    ),
]

"""What a resident hook may cost: memory, requests to trust servers, waiting."""

from __future__ import annotations

from datetime import timedelta

from keys.record import record


@record
class ResidentLimits:
    """The bounds of one resident reader. Times in seconds.

    `refresh`: no answer is older, unless the server is away. `in_use`: how long after its last use a collection is
    refreshed in the background. `wait`: how long a question waits for a server; `wait_with_older`: the same where older
    data may be used. `failure`: how long a failed refresh is remembered. `unknown`: between two refreshes of one
    collection that unknown tags or digests have earned; `unknown_rate`: of all collections together, per second.
    `collections`, `file_bytes`: how much is kept; what was not used for longest is forgotten first. `strangers`: how
    many names are remembered that nothing was verified of. `verdicts`: how many are remembered of each collection;
    where there are more than `verdicts_in_all`, all of them are forgotten. `workers`: threads that ask servers for
    those who wait, `per_server`: of these for one server, so that one that does not answer delays no others;
    `stranger_workers`: the same for names that nothing is known of, or that only a pin for every name is for, so that
    hostile names delay only each other;
    `background_workers`: those that nobody waits for, two for a server. `waiting`: how many refreshes may wait for a
    thread.
    """

    refresh: float = 60.0
    in_use: float = timedelta(hours=1).total_seconds()
    wait: float = 8.0
    wait_with_older: float = 2.0
    failure: float = 5.0
    unknown: float = 5.0
    unknown_rate: float = 5.0
    collections: int = 5000
    file_bytes: int = 128 * 1024 * 1024
    strangers: int = 1000
    verdicts: int = 1000
    verdicts_in_all: int = 20_000
    workers: int = 24
    per_server: int = 4
    stranger_workers: int = 4
    background_workers: int = 6
    waiting: int = 200

    @property
    def background(self) -> float:
        """After how many seconds the background refreshes: early enough that questions find data that is young."""
        return self.refresh * 5 / 6

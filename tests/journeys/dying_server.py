"""`trust-server serve` that kills itself (SIGKILL) in the middle of a publish.

DIE_AT: `before-commit` (written, not committed), `after-commit` (committed, not answered); DIE_AFTER: how many
publishes are let through before. The store is wrapped from outside: the program has no switch for this.
"""

from __future__ import annotations

import os
import signal

from sqlalchemy import event

from trustserver import app
from trustserver.__main__ import main
from trustserver.settings import Settings
from trustserver.storage.database import migrate, open_engine
from trustserver.storage.opening import make_data_folder
from trustserver.storage.ports import MetadataStore, Publication
from trustserver.storage.sql import SqlStore


class DyingStore(SqlStore):
    """Dies as the environment says."""

    left = int(os.environ["DIE_AFTER"])
    armed = False

    def publish(self, publication: Publication) -> int:
        self.armed = self.left == 0
        self.left -= 1
        revision = super().publish(publication)
        if self.armed and os.environ["DIE_AT"] == "after-commit":
            die()
        return revision

    def before_commit(self, _: object) -> None:
        if self.armed and os.environ["DIE_AT"] == "before-commit":
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def open_store(settings: Settings) -> MetadataStore:
    make_data_folder(settings.data)
    engine = open_engine(settings.database_url)
    migrate(engine)
    store = DyingStore(engine)
    event.listen(engine, "commit", store.before_commit)
    return store


vars(app)["open_store"] = open_store
main()

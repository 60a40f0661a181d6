"""Which of several root keys `trust init` takes, where nobody says so."""

from __future__ import annotations

import pytest

from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_the_one_that_a_collection_uses(owner: TrustUser, gun: str) -> None:
    """What an interrupted rotation leaves: a root key more, which no root names."""
    owner.run("init", gun, "--no-recovery-key")
    (before,) = root_keys(owner)
    owner.run("key", "generate", "spare", "--purpose", "root")
    assert len(root_keys(owner)) == 2
    owner.run("init", f"{gun}-next", "--no-recovery-key")
    assert before in owner.run("inspect", "--pretty", f"{gun}-next").stdout
    assert len(root_keys(owner)) == 2


def test_where_none_or_two_are_used_the_owner_must_say(owner: TrustUser, gun: str) -> None:
    for name in ("one", "two"):
        owner.run("key", "generate", name, "--purpose", "root")
    owner.run("init", gun, "--no-recovery-key", expect=8).said("fits several keys", "--root-key")
    for name in ("one", "two"):
        owner.run("init", f"{gun}-{name}", "--no-recovery-key", "--root-key", name)
    owner.run("init", gun, "--no-recovery-key", expect=8).said("fits several keys", "--root-key")


def root_keys(owner: TrustUser) -> list[str]:
    rows = owner.run("--json", "key", "list").document()["keys"]
    return [row["keyid"] for row in rows if row["purpose"] == "root"]

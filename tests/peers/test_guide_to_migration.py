"""The guide to moving, typed as it stands: from Debian's notary-server, by a publisher and by its operator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guide_machine import Machine
from tests.support.guide_stories import MIGRATION
from tests.support.notary_client import PASSPHRASES, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE
from tests.support.notary_server import SIGNER_PASSPHRASE, NotaryStack, missing_programs, start_notary
from tests.support.programs import program

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

_SECRETS = {
    "ROOT_PASSPHRASE=...": f"ROOT_PASSPHRASE={ROOT_PASSPHRASE}",
    "REPOSITORY_PASSPHRASE=...": f"REPOSITORY_PASSPHRASE={REPOSITORY_PASSPHRASE}",
    "SIGNER_PASSPHRASE=...": f"SIGNER_PASSPHRASE={SIGNER_PASSPHRASE}",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[NotaryStack]:
    """The server that is left."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (make peers)")
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        Path(name).chmod(0o755)
        with start_notary(Path(name)) as started:
            yield started


def test_publisher_and_operator(tmp_path: Path, stack: NotaryStack) -> None:
    for needed in ("docker-registry", "skopeo", "curl", "pg_dump"):
        program(needed)
    old = {"https://notary.docker.io": stack.url, "https://old-notary.example.com": stack.url}
    registry = ""
    for name, story in MIGRATION.items():
        machine = Machine(tmp_path / name, there={**story.there, **old, **_SECRETS}, registry=registry)
        registry = machine.there("127.0.0.1:5000")
        machine.environ |= {
            "OLD": stack.url,
            "OLD_CA": str(stack.ca),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(stack.database_port),
            "PGUSER": "signer",
            **PASSPHRASES,
        }
        machine.install(story.programs)
        machine.type(story.typed())

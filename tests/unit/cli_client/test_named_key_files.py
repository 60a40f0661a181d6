"""A file with a key that the command line names and that cannot be opened is said to be that, and no key store is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from keys.errors import KeyFileMissing, KeyFileUnreadable
from tests.simulator.home import Home
from tests.simulator.repository import RepositorySimulator
from trustcli.commands.key.key_import import ImportOptions, import_file
from trustcli.commands.migrate.command import _ServerKeys
from trustcli.commands.support.key_source import SessionKeys
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.signer_key import read_signer_key
from trustcli.console.exit_codes import KEYS
from trustcli.console.failure_table import row_for
from trustcli.session import Session

READERS: Final[dict[str, Callable[[Session, Path], object]]] = {
    "key import": lambda session, file: import_file(session, file, ImportOptions()),
    "signer add": lambda session, file: read_signer_key(file, session.at),
    "recovery key": lambda session, file: SessionKeys(session).recovery(file),
    "recovery key of a plan": lambda session, file: Planning(session).keys.recovery(file),
    "dump of a notary-signer": _ServerKeys,
}


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
def test_a_file_is_missing_or_unreadable_itself(read: Callable[[Session, Path], object], tmp_path: Path) -> None:
    session = Home(tmp_path, RepositorySimulator()).session()
    missing = tmp_path / "no-such.key"
    with pytest.raises(KeyFileMissing, match=f"^{missing} does not exist$") as absent:
        read(session, missing)
    assert (absent.value.code, row_for(absent.value).status) == ("key-not-found", KEYS)
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "a.key"
    with pytest.raises(KeyFileUnreadable, match=f"^{below} cannot be read: Not a directory$") as unreadable:
        read(session, below)
    assert (unreadable.value.code, row_for(unreadable.value).status) == ("key-file-unreadable", KEYS)

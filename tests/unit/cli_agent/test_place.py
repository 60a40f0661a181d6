"""Where an agent's socket may lie: only where nobody else could have put another one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from trustcli.hooks.agent.place import DEFAULT, own_socket, socket_to_ask, why_unsafe

OWN = frozenset({0, os.geteuid()})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder of this user alone, with a socket in it."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        yield folder


def test_a_socket_in_a_folder_of_ours_is_safe(place: Path) -> None:
    assert why_unsafe(str(place / "s"), OWN) is None


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_write_to_is_none(place: Path, mode: int) -> None:
    place.chmod(mode)
    assert "others may write" in str(why_unsafe(str(place / "s"), OWN))


def test_every_folder_on_the_way_counts(place: Path) -> None:
    place.parent.chmod(0o777)
    assert str(place.parent) in str(why_unsafe(str(place / "s"), OWN))
    place.parent.chmod(0o1777)
    assert why_unsafe(str(place / "s"), OWN) is None, "nobody replaces our folder there"


def test_a_folder_or_socket_of_somebody_else_is_none(place: Path) -> None:
    assert "belongs to user" in str(why_unsafe(str(place / "s"), frozenset({4711})))


def test_links_are_followed_and_count(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("run")
    assert why_unsafe(str(link / "s"), OWN) is None
    (tmp_path / "up").symlink_to("run/../run/s")
    assert why_unsafe(str(tmp_path / "up"), OWN) is None
    place.chmod(0o777)
    assert why_unsafe(str(link / "s"), OWN) is not None
    (tmp_path / "round").symlink_to("round")
    assert why_unsafe(str(tmp_path / "round"), OWN) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
def test_a_link_of_another_user_is_none(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(place)
    os.lchown(link, 4711, 4711)
    assert "link of user 4711" in str(why_unsafe(str(link / "s"), OWN))


def test_what_is_no_socket_is_none(place: Path) -> None:
    (place / "file").write_text("")
    assert "no socket" in str(why_unsafe(str(place / "file"), OWN))
    assert why_unsafe(str(place / "absent"), OWN) is not None
    assert why_unsafe(str(place), OWN) is not None
    assert "folder" in str(why_unsafe("/", OWN))
    assert why_unsafe(str(place / "absent"), OWN, socket_itself=False) is None


def test_where_an_agent_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert socket_to_ask({"TRUST_AGENT": "/a"}, "/b") == "/a"
    assert socket_to_ask({}, "/b") == "/b"
    assert socket_to_ask({"TRUST_AGENT": "off"}, "/b") is None
    assert socket_to_ask({}, "off") is None
    assert socket_to_ask({}, None) == DEFAULT
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    own = tmp_path / "content-trust" / "agent.sock"
    assert own_socket(environ) == str(own)
    assert socket_to_ask(environ, None) == DEFAULT, "there is none of this user's"
    own.parent.mkdir()
    own.write_text("")
    assert socket_to_ask(environ, None) == str(own)
    assert own_socket({"XDG_RUNTIME_DIR": "relative"}) == DEFAULT

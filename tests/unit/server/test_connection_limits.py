"""Who may connect when there is little room, and who goes for it."""

from __future__ import annotations

import pytest

from trustserver.server.connection_limits import ConnectionLimits, Place
from trustserver.server.serving import FILES_OF_A_CONNECTION, MOST_CONNECTIONS, OTHER_FILES, connection_limits
from trustserver.settings import Settings

HONEST, HOSTILE, PROXY = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Door:
    """Limits, and which connections have ended to make room."""

    def __init__(self, *, total: int, share: int) -> None:
        self.limits = ConnectionLimits(total=total, share=share, is_trusted=lambda address: address == PROXY)
        self.gone: list[str] = []

    def admit(self, name: str, address: str, *, is_room: bool = True) -> Place:
        place = self.limits.admit(address, lambda: self.gone.append(name), is_room=is_room)
        assert place is not None, name
        return place

    def refuses(self, address: str, *, is_room: bool = True) -> bool:
        return self.limits.admit(address, lambda: None, is_room=is_room) is None


def test_an_address_above_its_share_loses_the_one_that_has_waited_longest() -> None:
    door = Door(total=10, share=2)
    first, second = (door.admit(name, HOSTILE) for name in ("first", "second"))
    door.admit("other", HONEST)
    first.busy()
    first.idle()
    door.admit("third", HOSTILE)
    assert door.gone == ["second"]
    assert door.limits.count == 3
    second.leave()
    assert door.limits.count == 3, "it has left already"


def test_an_address_above_its_share_is_refused_while_all_of_it_are_answered() -> None:
    door = Door(total=10, share=2)
    for name in ("first", "second"):
        door.admit(name, HOSTILE).busy()
    assert door.refuses(HOSTILE)
    door.admit("other", HONEST)
    assert door.gone == []
    assert door.limits.refused == 1


def test_when_all_places_are_taken_the_address_with_the_most_loses_one() -> None:
    door = Door(total=4, share=4)
    door.admit("quiet", HONEST)
    for number in range(3):
        door.admit(f"hostile {number}", HOSTILE)
    door.admit("new", HONEST)
    door.admit("newer", "192.0.2.9")
    assert door.gone == ["hostile 0", "hostile 1"], "then two and one"
    assert door.limits.count == 4


def test_the_busy_go_only_where_nobody_waits_and_only_of_who_has_more() -> None:
    door = Door(total=3, share=3)
    for number in range(3):
        door.admit(f"hostile {number}", HOSTILE).busy()
    door.admit("new", HONEST).busy()
    assert door.gone == ["hostile 0"]
    door.admit("newer", "192.0.2.9").busy()
    assert door.gone == ["hostile 0", "hostile 1"]
    assert door.refuses("192.0.2.10"), "each has one, and each is answered"


def test_who_waits_goes_before_the_busy_of_whatever_address() -> None:
    door = Door(total=3, share=3)
    for number in range(2):
        door.admit(f"hostile {number}", HOSTILE).busy()
    door.admit("quiet", HONEST)
    door.admit("new", "192.0.2.9")
    assert door.gone == ["quiet"]


def test_who_has_asked_meanwhile_has_not_waited() -> None:
    door = Door(total=3, share=3)
    places = [door.admit(f"{number}", HOSTILE) for number in range(3)]
    for place in places[:2]:
        place.heard = True
    door.admit("new", HONEST)
    assert door.gone == ["2"]
    door.admit("newer", HONEST)
    assert door.gone == ["2", "0"]


def test_a_trusted_proxy_has_no_share_and_is_not_the_one_who_has_the_most() -> None:
    door = Door(total=5, share=1)
    for number in range(3):
        door.admit(f"proxy {number}", PROXY)
    door.admit("hostile", HOSTILE)
    door.admit("honest", HONEST)
    door.admit("new", "192.0.2.9")
    assert door.gone == ["hostile"]
    assert door.limits.count == 5


def test_without_a_file_to_open_a_newcomer_takes_the_place_of_another_or_none() -> None:
    door = Door(total=100, share=100)
    assert door.refuses(HONEST, is_room=False)
    door.admit("waiting", HOSTILE)
    door.admit("new", HONEST, is_room=False)
    assert door.gone == ["waiting"]


def test_nothing_is_kept_of_addresses_that_have_gone() -> None:
    door = Door(total=1000, share=1000)
    places = [door.admit("", f"192.0.2.{number % 7}") for number in range(100)]
    for place in places[::2]:
        place.busy()
    for place in places:
        place.leave()
        place.busy()
        place.idle()
    limits = door.limits
    assert (limits.count, limits._groups, limits._waiting, limits._by_size, limits._largest) == (0, {}, {}, {}, 0)


@pytest.mark.parametrize(
    ("settings", "files", "total", "share"),
    [
        (Settings(), 1_000_000, MOST_CONNECTIONS, MOST_CONNECTIONS // 4),
        (Settings(), 256, (256 - OTHER_FILES) // FILES_OF_A_CONNECTION, 15),
        (Settings(), 10, 1, 1),
        (Settings(connections=5000), 1_000_000, 5000, 1250),
        (Settings(connections=5000, connections_per_address=7), 380, 100, 7),
    ],
)
def test_the_limits_follow_from_settings_and_open_files(settings: Settings, files: int, total: int, share: int) -> None:
    limits = connection_limits(settings, files)
    assert (limits.total, limits.share) == (total, share)

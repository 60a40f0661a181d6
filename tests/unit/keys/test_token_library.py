"""A PKCS#11 library that fails in ways in which no real one can be made to fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keys.errors import (
    KeySupportMissing,
    TokenAmbiguous,
    TokenDeclined,
    TokenGone,
    TokenMissing,
    TokenModuleUnusable,
    TokenPinLocked,
    TokenPinWrong,
)
from keys.passphrase import EnvironmentPassphrases
from keys.pkcs11 import library as libraries
from keys.pkcs11.library import Library, library_at
from keys.pkcs11.pin import Pin
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.token_facts import LOGIN_REQUIRED, PIN_COUNT_LOW, PIN_FINAL_TRY, PIN_PAD, PIN_SET, TokenFacts

exceptions = pytest.importorskip("pkcs11.exceptions", reason="python-pkcs11 is not installed")

INITIALISED = 0x400
HOLDER = EnvironmentPassphrases({"TRUST_TOKEN_PIN": "1234"}, None)
URI = Pkcs11Uri(module="/x.so", token="T")
FACTS = TokenFacts(label="T", serial="01", manufacturer="", model="", flags=0)


class FakeToken:
    """A token that does with each login what it is told; then it opens sessions."""

    label, serial, manufacturer_id, model = "T", b"01", "", ""

    def __init__(self, *fails: type[Exception], flags: int = LOGIN_REQUIRED | PIN_SET | INITIALISED) -> None:
        self.flags = flags
        self.fails = list(fails)
        self.pins: list[object] = []

    def open(self, *, rw: bool = False, user_pin: object = None) -> object:
        if user_pin is not None:
            self.pins.append(user_pin)
            if self.fails:
                raise self.fails.pop(0)
        return self


class FakeSlot:
    def __init__(self, token: FakeToken | type[Exception]) -> None:
        self._token = token

    def get_token(self) -> FakeToken:
        if isinstance(self._token, type):
            raise self._token
        return self._token


class FakeLibrary:
    """A library with these tokens. `on_start`: called each time it is started anew."""

    def __init__(self, *tokens: FakeToken | type[Exception], on_start: Callable[[], object] = lambda: None) -> None:
        self.slots: Any = [FakeSlot(token) for token in tokens]
        self.on_start = on_start
        self.starts = 0

    def get_slots(self, *, token_present: bool) -> list[FakeSlot]:
        assert token_present
        if isinstance(self.slots, type):
            raise self.slots
        return list(self.slots)

    def reinitialize(self) -> None:
        self.starts += 1
        self.on_start()


def loaded(fake: FakeLibrary) -> Library:
    return Library("/x.so", fake)  # type: ignore[arg-type]


def test_a_login_that_ends_in_a_general_error_is_begun_again() -> None:
    token = FakeToken(exceptions.GeneralError, exceptions.FunctionFailed)
    fake = FakeLibrary(token)
    session = loaded(fake).session(URI, HOLDER)
    assert session.raw == token
    assert session.facts == TokenFacts.of(token)
    assert session.pin == Pin(text="1234", source="that was given")
    assert (session.handles, session.wrapping, session.held) == ({}, {}, {})
    assert (token.pins, fake.starts) == (["1234"] * 3, 2)


def test_a_pin_of_the_uri_is_the_one_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("5678")
    file.chmod(0o600)
    token = FakeToken()
    loaded(FakeLibrary(token)).session(Pkcs11Uri(module="/x.so", token="T", pin_file=str(file)), HOLDER)
    assert token.pins == ["5678"]


@pytest.mark.parametrize(("pad", "turns"), [(0, ["/x.so", "end"]), (PIN_PAD, [])])
def test_processes_log_in_one_after_the_other_and_nobody_waits_while_somebody_types(
    monkeypatch: pytest.MonkeyPatch, pad: int, turns: list[str]
) -> None:
    seen, taken = list[str](), list[str]()

    @contextmanager
    def turn(path: str) -> Iterator[None]:
        taken.append(path)
        yield
        taken.append("end")

    class Watched(FakeToken):
        def open(self, *, rw: bool = False, user_pin: object = None) -> object:
            seen.extend(taken)
            return super().open(rw=rw, user_pin=user_pin)

    monkeypatch.setattr(libraries, "turn", turn)
    loaded(FakeLibrary(Watched(flags=LOGIN_REQUIRED | PIN_SET | INITIALISED | pad))).session(URI, HOLDER)
    assert (seen, taken) == (turns[:1], turns)


def test_a_pin_that_is_wrong_at_the_second_attempt_is_that_of_this_token() -> None:
    token = FakeToken(exceptions.GeneralError, exceptions.PinIncorrect)
    token.serial = b"second"
    with pytest.raises(TokenPinWrong) as caught:
        loaded(FakeLibrary(token)).session(URI, HOLDER)
    assert caught.value.token == "token T (serial second)"


def test_it_is_not_begun_for_ever() -> None:
    token = FakeToken(*[exceptions.GeneralError] * 9)
    with pytest.raises(TokenGone, match=r"it was removed, or answers no more \(GeneralError\)"):
        loaded(FakeLibrary(token)).session(URI, HOLDER)
    assert len(token.pins) == 3


def test_it_is_not_begun_again_if_the_token_counts_it_as_a_wrong_pin() -> None:
    token = FakeToken(exceptions.FunctionFailed)

    def count() -> None:
        token.flags |= PIN_COUNT_LOW

    with pytest.raises(TokenDeclined, match="FunctionFailed"):
        loaded(FakeLibrary(token, on_start=count)).session(URI, HOLDER)
    assert token.pins == ["1234"]


def test_it_is_not_begun_again_where_somebody_would_have_to_type() -> None:
    token = FakeToken(exceptions.GeneralError, flags=LOGIN_REQUIRED | PIN_SET | PIN_PAD | INITIALISED)
    with pytest.raises(TokenGone):
        loaded(FakeLibrary(token)).session(URI, HOLDER)
    assert len(token.pins) == 1


def test_a_process_that_is_logged_in_already_opens_a_session() -> None:
    token = FakeToken(exceptions.UserAlreadyLoggedIn)
    assert loaded(FakeLibrary(token)).session(URI, HOLDER).raw == token


def test_a_token_without_login_is_opened_without_pin() -> None:
    token = FakeToken(flags=INITIALISED)
    assert loaded(FakeLibrary(token)).session(URI, HOLDER).raw == token
    assert token.pins == []


@pytest.mark.parametrize("kind", ["PinIncorrect", "PinLenRange", "PinInvalid"])
def test_a_wrong_pin_is_tried_once(kind: str) -> None:
    token = FakeToken(getattr(exceptions, kind))
    token.serial = kind.encode()
    for _ in range(3):
        with pytest.raises(TokenPinWrong, match="it was tried once"):
            loaded(FakeLibrary(token)).session(URI, HOLDER)
    assert token.pins == ["1234"]


def test_what_is_left_is_what_the_token_says_then() -> None:
    class Counting(FakeToken):
        serial = b"counting"

        def open(self, *, rw: bool = False, user_pin: object = None) -> object:
            self.flags |= PIN_FINAL_TRY
            return super().open(rw=rw, user_pin=user_pin)

    with pytest.raises(TokenPinWrong, match="one try is left"):
        loaded(FakeLibrary(Counting(exceptions.PinIncorrect))).session(URI, HOLDER)


def test_a_wrong_pin_of_a_token_that_is_gone_then() -> None:
    token = FakeToken(exceptions.PinIncorrect)
    token.serial = b"gone then"
    fake = FakeLibrary(token)
    opened = token.open

    def leave(**options: Any) -> object:
        fake.slots = []
        return opened(**options)

    token.open = leave  # type: ignore[method-assign]
    with pytest.raises(TokenPinWrong, match="how many tries are left is not known"):
        loaded(fake).session(URI, HOLDER)


def test_a_token_that_locks_says_so() -> None:
    token = FakeToken(exceptions.PinLocked)
    with pytest.raises(TokenPinLocked) as caught:
        loaded(FakeLibrary(token)).session(URI, HOLDER)
    assert caught.value.details() == {"token": "token T (serial 01)", "unset": False}


def test_a_token_that_was_removed_just_now_is_none_and_an_unused_slot_neither() -> None:
    fake = FakeLibrary(exceptions.TokenNotPresent, FakeToken(flags=0), FakeToken())
    assert loaded(fake).token(URI)[1].label == "T"


def test_two_that_fit() -> None:
    other = FakeToken()
    other.serial = b"00"
    with pytest.raises(TokenAmbiguous, match=r"^token=T fits several tokens: token T ") as caught:
        loaded(FakeLibrary(FakeToken(), other)).token(URI)
    assert caught.value.token == "token=T"
    assert caught.value.candidates == ("token T (serial 00)", "token T (serial 01)")


def test_a_library_that_fails_is_named() -> None:
    fake = FakeLibrary()
    fake.slots = exceptions.HostMemory
    library = loaded(fake)
    with pytest.raises(TokenModuleUnusable, match=r"/x\.so cannot be used: HostMemory"):
        library.token(URI)
    fake.slots = [FakeSlot(FakeToken())]
    for _ in range(2):
        assert library.token(URI)[1].label == "T"
        assert fake.starts == 1, "what has failed is started anew, once"

    def fail() -> None:
        raise exceptions.PKCS11Error("out of \x1b order" + "!" * 300)

    with pytest.raises(TokenModuleUnusable) as caught:
        loaded(FakeLibrary(on_start=fail)).token(URI)
    reason = r"out of \x1b order" + "!" * 283
    assert caught.value.details() == {"token": "/x.so", "reason": reason}
    assert len(reason) == 300


def test_a_library_with_sessions_is_not_started_anew_for_a_token_that_is_not_there() -> None:
    fake = FakeLibrary(FakeToken())
    library = loaded(fake)
    library.session(URI, HOLDER)
    with pytest.raises(TokenMissing) as caught:
        library.token(Pkcs11Uri(module="/x.so", token="U"))
    assert (caught.value.token, caught.value.present) == ("token=U", ("token T (serial 01)",))
    assert fake.starts == 0


def test_errors_of_the_library_are_told_by_their_name() -> None:
    fake = FakeLibrary(FakeToken())
    library = loaded(fake)
    session = library.session(URI, HOLDER)
    with pytest.raises(TokenDeclined, match="MechanismInvalid: not this one"), library.translated(FACTS):
        raise exceptions.MechanismInvalid("not this one")
    assert library.session(URI, HOLDER) is session
    with pytest.raises(TokenGone), library.translated(FACTS):
        raise exceptions.DeviceRemoved
    assert library.session(URI, HOLDER) is not session, "after that all begins anew"
    assert fake.starts == 1


def test_every_error_that_means_gone_is_one_of_the_library() -> None:
    assert [name for name in libraries._GONE if not hasattr(exceptions, name)] == []


def test_without_python_pkcs11_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11._pkcs11", None)
    with pytest.raises(KeySupportMissing, match="python-pkcs11, which is not installed") as caught, library_at("/x"):
        pass
    assert caught.value.details() == {
        "scheme": "pkcs11",
        "library": "python-pkcs11",
        "extra": "content-trust[pkcs11]",
    }


def test_the_library_that_is_named_is_the_one_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def lib(path: str) -> FakeLibrary:
        asked.append(path)
        return FakeLibrary()

    monkeypatch.setattr("pkcs11._pkcs11.lib", lib)
    monkeypatch.setattr(libraries, "_libraries", {})
    for _ in range(2):
        with library_at("/once.so") as found:
            assert isinstance(found.raw, FakeLibrary)
    assert asked == ["/once.so"]


@pytest.mark.parametrize("works", [True, False])
def test_a_library_that_believes_in_a_child_that_it_is_started(monkeypatch: pytest.MonkeyPatch, *, works: bool) -> None:
    calls = []

    class Inherited(FakeLibrary):
        def finalize(self) -> None:
            calls.append("finalize")
            raise exceptions.GeneralError

        def initialize(self) -> None:
            calls.append("initialize")
            if not works:
                raise exceptions.GeneralError

    def lib(path: str) -> object:
        raise exceptions.PKCS11Error("started already")

    monkeypatch.setattr("pkcs11._pkcs11.lib", lib)
    monkeypatch.setattr(libraries, "_of_parents", [{"/in/parent.so": loaded(Inherited())}])
    monkeypatch.setattr(libraries, "_libraries", {})
    with pytest.raises(TokenModuleUnusable, match="started already") as caught, library_at("/other.so"):
        pass
    assert caught.value.token == "/other.so"
    if works:
        with library_at("/in/parent.so") as found:
            assert isinstance(found.raw, Inherited)
    else:
        with pytest.raises(TokenModuleUnusable, match="GeneralError") as caught, library_at("/in/parent.so"):
            pass
        assert caught.value.token == "/in/parent.so"
    assert calls == ["finalize", "initialize"]


def test_a_child_process_forgets_what_its_parent_had_open_and_keeps_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of the parent are no use to it, and a thread of the parent may have held the lock."""
    opened: dict[str, Any] = {"/x.so": object()}
    lock = libraries._lock
    monkeypatch.setattr(libraries, "_lock", lock)
    monkeypatch.setattr(libraries, "_libraries", opened)
    monkeypatch.setattr(libraries, "_of_parents", [])
    libraries._begin_in_child()
    assert libraries._libraries == {}
    assert libraries._of_parents == [opened]
    assert libraries._lock is not lock
    with libraries._lock, libraries._lock:
        pass

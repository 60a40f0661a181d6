"""The PIN of a token: what its flags say is told first, and no PIN costs a try that it need not."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.child_environment import without_passphrases
from keys.errors import (
    PassphraseMissing,
    PassphraseUnreadable,
    TokenPinLastTry,
    TokenPinLocked,
    TokenPinWrong,
)
from keys.passphrase import EnvironmentPassphrases, PassphraseProvider, variables_for
from keys.pkcs11.pin import Pin, pin_for, refused
from keys.pkcs11.token_facts import (
    LOGIN_REQUIRED,
    PIN_COUNT_LOW,
    PIN_FINAL_TRY,
    PIN_LOCKED,
    PIN_PAD,
    PIN_SET,
    TokenFacts,
)
from tests.support.prompted_person import Person
from trustcli.console.passphrase_comparison import ComparedPassphrases

USUAL = LOGIN_REQUIRED | PIN_SET


def token(flags: int, serial: str = "01") -> TokenFacts:
    return TokenFacts(label="T", serial=serial, manufacturer="", model="", flags=flags)


class Told:
    """A person, or a variable, and what was told before."""

    def __init__(self, *answers: str, variable: str = "") -> None:
        self.person = Person(*answers)
        self.warnings: list[str] = []
        environ = {"TRUST_TOKEN_PIN": variable}
        self.source: PassphraseProvider = ComparedPassphrases(
            EnvironmentPassphrases(environ, self.person), self.warnings.append
        )


def test_a_token_that_wants_no_login_wants_no_pin() -> None:
    told = Told()
    assert pin_for(token(PIN_SET), None, told.source) is None
    assert told.person.asked == []


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (USUAL | PIN_LOCKED, r"token T \(serial 01\) is locked: too many wrong PINs were given"),
        (LOGIN_REQUIRED, r"token T \(serial 01\) has no PIN yet"),
    ],
)
def test_a_token_that_takes_no_pin_says_so_before_anybody_is_asked(flags: int, sentence: str) -> None:
    told = Told()
    with pytest.raises(TokenPinLocked, match=sentence):
        pin_for(token(flags), None, told.source)
    assert told.person.asked == []


@pytest.mark.parametrize(
    ("flags", "warnings"),
    [
        (0, []),
        (PIN_COUNT_LOW, ["token T (serial 01) was given a wrong PIN since the last right one"]),
        (PIN_COUNT_LOW | PIN_FINAL_TRY, ["token T (serial 01) locks after one more wrong PIN"]),
    ],
)
def test_a_person_is_told_what_the_flags_say(flags: int, warnings: list[str]) -> None:
    told = Told("1234")
    pin = pin_for(token(USUAL | flags), None, told.source)
    assert pin is not None
    assert (pin.text, told.warnings) == ("1234", warnings)


def test_nobody_gives_the_last_try_away() -> None:
    told = Told(variable="1234")
    with pytest.raises(TokenPinLastTry, match="the one of the environment is not tried") as caught:
        pin_for(token(USUAL | PIN_FINAL_TRY), None, told.source)
    assert caught.value.details() == {"token": "token T (serial 01)", "source": "of the environment"}
    with pytest.raises(TokenPinLastTry, match="the one in /run/pin is not tried") as caught:
        pin_for(token(USUAL | PIN_FINAL_TRY), "/run/pin", told.source)
    assert caught.value.details() == {"token": "token T (serial 01)", "source": "in /run/pin"}
    assert pin_for(token(USUAL | PIN_COUNT_LOW), None, told.source) is not None


def test_a_pin_pad_is_used_where_there_is_one() -> None:
    told = Told()
    assert pin_for(token(USUAL | PIN_PAD), None, told.source) == Pin(text=None, source="that was typed on the device")
    assert told.warnings == ["the PIN of token T (serial 01) is typed on the device"]


def test_a_wrong_pin_is_not_given_to_the_token_again_and_to_another_token_it_is() -> None:
    told, facts = Told(variable="77 wrong"), token(USUAL, serial="02")
    pin = pin_for(facts, None, told.source)
    assert pin is not None
    refused(facts, pin, None)
    with pytest.raises(TokenPinWrong, match="the PIN that was given is not that of token T") as caught:
        pin_for(facts, None, told.source)
    assert caught.value.details() == {"token": "token T (serial 02)", "source": "that was given", "left": None}
    assert pin_for(token(USUAL, serial="03"), None, told.source) == pin
    assert pin_for(facts, None, Told("right").source) == Pin(text="right", source="that was given")


@pytest.mark.parametrize(
    ("after", "left", "words"),
    [
        (None, None, "how many tries are left is not known"),
        (USUAL | PIN_COUNT_LOW, None, "how many tries are left is not known"),
        (USUAL | PIN_COUNT_LOW | PIN_FINAL_TRY, 1, "one try is left"),
        (USUAL | PIN_LOCKED, 0, "no try is left"),
    ],
)
def test_how_many_tries_are_left_as_far_as_that_is_known(after: int | None, left: int | None, words: str) -> None:
    now = None if after is None else token(after)
    error = refused(token(USUAL), Pin(text="1", source="that was given"), now)
    assert error.details() == {"token": "token T (serial 01)", "source": "that was given", "left": left}
    assert str(error).endswith(words)
    assert "2 tries are left" in str(TokenPinWrong(token="T", source="x", left=2))


def test_one_typed_on_the_device_is_not_remembered() -> None:
    pad, facts = Pin(text=None, source="x"), token(USUAL | PIN_PAD, serial="04")
    refused(facts, pad, None)
    assert pin_for(facts, None, Told().source) is not None


def test_pin_source_goes_before_all_others(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_bytes(b"\xef\xbb\xbf1234\r\n")
    file.chmod(0o600)
    pin = pin_for(token(USUAL), str(file), Told(variable="other").source)
    assert pin == Pin(text="1234", source=f"in {file}")
    file.write_bytes("1234\n".encode("utf-16"))  # as PowerShell writes it
    assert pin_for(token(USUAL), str(file), Told().source) == pin
    file.chmod(0o622)
    with pytest.raises(PassphraseUnreadable) as caught:
        pin_for(token(USUAL), str(file), Told().source)
    assert (caught.value.key, caught.value.source) == ("token T (serial 01)", f"pin-source ({file})")
    with pytest.raises(PassphraseUnreadable, match="No such file"):
        pin_for(token(USUAL), str(tmp_path / "none"), Told().source)


def test_where_a_pin_comes_from() -> None:
    assert variables_for("token") == ("TRUST_TOKEN_PIN", "TRUST_TOKEN_PIN_FILE", "TRUST_TOKEN_PIN_FD")
    with pytest.raises(PassphraseMissing, match="TRUST_TOKEN_PIN") as caught:
        pin_for(token(USUAL), None, EnvironmentPassphrases({}, None))
    assert caught.value.key == "token T (serial 01)"
    kept = without_passphrases({"TRUST_TOKEN_PIN": "1", "TRUST_TOKEN_PIN_FILE": "x", "TRUST_PIN": "y", "HOME": "/"})
    assert kept == {"TRUST_PIN": "y", "HOME": "/"}


@pytest.mark.parametrize("odd", ["\udcff", "12\t3"])
def test_a_pin_that_no_token_has_is_not_tried(odd: str) -> None:
    with pytest.raises(PassphraseUnreadable, match="a PIN has no control characters") as caught:
        pin_for(token(USUAL), None, Told(odd).source)
    assert (caught.value.key, caught.value.source) == ("token T (serial 01)", "the PIN that was given")

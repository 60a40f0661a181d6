"""Where passphrases come from, in which order, and what is said when they do not come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import passphrase
from keys.child_environment import without_passphrases
from keys.errors import PassphraseMissing, PassphraseUnreadable, PassphraseWrong
from keys.file_access import Exposure, changeable_secret
from keys.passphrase import (
    ATTEMPTS,
    EnvironmentPassphrases,
    PassphrasePurpose,
    ask_and_try,
    forms_of,
    passphrase_bytes,
    variables_for,
)
from tests.support.prompted_person import Person

KEY = "root key (0123456789ab)"
given_bytes = given(
    st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff"]).flatmap(lambda mark: st.binary().map(mark.__add__))
)


@pytest.mark.parametrize(
    ("purpose", "variable"),
    [
        ("root", "TRUST_ROOT_PASSPHRASE"),
        ("targets", "TRUST_REPOSITORY_PASSPHRASE"),
        ("signer", "TRUST_REPOSITORY_PASSPHRASE"),
        ("recovery", "TRUST_RECOVERY_PASSPHRASE"),
        ("root", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE"),
        ("targets", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"),
        ("signer", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"),
    ],
)
def test_each_purpose_has_its_variables(purpose: PassphrasePurpose, variable: str) -> None:
    given = EnvironmentPassphrases({variable: "secret"}, None)
    assert given.passphrase(purpose=purpose, key=KEY) == "secret"
    others: tuple[PassphrasePurpose, ...] = ("root", "targets", "recovery")
    for other in others:
        if variable not in variables_for(other):
            with pytest.raises(PassphraseMissing):
                given.passphrase(purpose=other, key=KEY)


@pytest.mark.parametrize(
    ("purpose", "own", "docker"),
    [
        ("root", "ROOT", "ROOT"),
        ("targets", "REPOSITORY", "REPOSITORY"),
        ("snapshot", "REPOSITORY", "REPOSITORY"),
        ("signer", "REPOSITORY", "REPOSITORY"),
        ("recovery", "RECOVERY", None),
        ("new", "NEW", None),
        ("server", "SIGNER", None),
    ],
)
def test_the_variables_of_a_purpose_in_their_order(purpose: PassphrasePurpose, own: str, docker: str | None) -> None:
    expected = tuple(f"TRUST_{own}_PASSPHRASE{suffix}" for suffix in ("", "_FILE", "_FD"))
    last = () if docker is None else (f"DOCKER_CONTENT_TRUST_{docker}_PASSPHRASE",)
    assert variables_for(purpose) == expected + last


def test_the_order_is_own_file_descriptor_docker_person(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("from file")
    read, write = os.pipe()
    os.write(write, b"from fd")
    os.close(write)
    environ = {
        "TRUST_ROOT_PASSPHRASE": "own",
        "TRUST_ROOT_PASSPHRASE_FILE": str(file),
        "TRUST_ROOT_PASSPHRASE_FD": str(read),
        "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": "docker",
    }
    seen = []
    while environ:
        seen.append(EnvironmentPassphrases(environ, None).passphrase(purpose="root", key=KEY))
        environ.pop(next(iter(environ)))
    seen.append(EnvironmentPassphrases(environ, Person("person")).passphrase(purpose="root", key=KEY))
    os.close(read)
    assert seen == ["own", "from file", "from fd", "docker", "person"]


def test_an_empty_variable_is_not_set() -> None:
    environ = {"TRUST_ROOT_PASSPHRASE": "", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": "docker"}
    assert EnvironmentPassphrases(environ, None).passphrase(purpose="root", key=KEY) == "docker"


def test_nobody_to_ask_names_the_key_and_what_to_set() -> None:
    with pytest.raises(PassphraseMissing) as caught:
        EnvironmentPassphrases({}, None).passphrase(purpose="root", key=KEY)
    assert caught.value.key == KEY
    assert caught.value.sources == variables_for("root")
    assert "TRUST_ROOT_PASSPHRASE_FILE" in str(caught.value)


def test_a_wrong_one_from_the_environment_fails_at_once_and_names_the_key_only() -> None:
    person = Person("never")
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE": "hunter2"}, person)
    with pytest.raises(PassphraseWrong) as caught:
        given.passphrase(purpose="root", key=KEY, retry=True)
    assert caught.value.key == KEY
    assert "hunter2" not in str(caught.value)
    assert person.asked == []


def test_a_person_is_told_what_is_asked_for() -> None:
    person = Person("first", "second", "third")
    given = EnvironmentPassphrases({}, person)
    given.passphrase(purpose="signer", key=KEY, new=True)
    given.passphrase(purpose="signer", key=KEY, retry=True)
    given.passphrase(purpose="root", key=KEY)
    assert person.asked == [("signer", KEY, True, False), ("signer", KEY, False, True), ("root", KEY, False, False)]


def test_a_person_who_says_nothing_gives_no_passphrase() -> None:
    with pytest.raises(PassphraseMissing) as caught:
        EnvironmentPassphrases({}, Person("")).passphrase(purpose="root", key=KEY)
    assert (caught.value.key, caught.value.sources) == (KEY, variables_for("root"))


@pytest.mark.parametrize(
    ("content", "expected"), [(b"a b\n", "a b"), (b"ab\r\n", "ab"), (b"ab", "ab"), (b"a\n\n", "a\n"), (b" a ", " a ")]
)
def test_a_file_is_taken_without_its_last_line_end(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, None)
    assert given.passphrase(purpose="root", key=KEY) == expected


def test_bytes_that_are_not_utf8_give_the_same_text_from_a_file_as_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xff\xfe")
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, None)
    assert given.passphrase(purpose="root", key=KEY) == os.fsdecode(b"\xff\xfe")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\r\n", "it is empty"),
        (b"x" * 4097, "it has more than 4096 bytes"),
        (b"x" * 4097 + b"\n", "it has more than 4096 bytes"),
        (b"x" * 9999, "it has more than 4096 bytes"),
    ],
)
def test_a_file_without_a_passphrase_is_an_error_that_names_it(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, Person("never"))
    with pytest.raises(PassphraseUnreadable) as caught:
        given.passphrase(purpose="root", key=KEY)
    assert caught.value.details() == {"key": KEY, "source": f"TRUST_ROOT_PASSPHRASE_FILE ({file})", "reason": reason}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_passphrase_has_4096_bytes_at_most(tmp_path: Path, end: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 4096 + end)
    with file.open("rb") as opened:
        for variable, value in (("FILE", str(file)), ("FD", str(opened.fileno()))):
            given = EnvironmentPassphrases({f"TRUST_ROOT_PASSPHRASE_{variable}": value}, None)
            assert given.passphrase(purpose="root", key=KEY) == "x" * 4096


@pytest.mark.parametrize(
    ("path", "shown", "reason"),
    [
        ("/nowhere/at/all", "/nowhere/at/all", "No such file or directory"),
        ("/", "/", "Is a directory"),
        ("a\0b", r"a\x00b", "ValueError"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_variable_and_key(path: str, shown: str, reason: str) -> None:
    given = EnvironmentPassphrases({"TRUST_RECOVERY_PASSPHRASE_FILE": path}, Person("never"))
    with pytest.raises(PassphraseUnreadable) as caught:
        given.passphrase(purpose="recovery", key=KEY)
    source = f"TRUST_RECOVERY_PASSPHRASE_FILE ({shown})"
    assert caught.value.details() == {"key": KEY, "source": source, "reason": reason}


def test_a_descriptor_is_read_once_to_its_end_and_remembered_for_all_purposes() -> None:
    read, write = os.pipe()
    os.write(write, b"sec")
    os.write(write, b"ret\n")
    os.close(write)
    given = EnvironmentPassphrases(
        {"TRUST_ROOT_PASSPHRASE_FD": str(read), "TRUST_REPOSITORY_PASSPHRASE_FD": str(read)}, None
    )
    purposes: tuple[PassphrasePurpose, ...] = ("root", "root", "targets", "signer")
    assert [given.passphrase(purpose=purpose, key=KEY) for purpose in purposes] == ["secret"] * len(purposes)
    os.close(read)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        *((number, "not the number of a file descriptor") for number in ("x", "-1", "1.0", "٣", "²")),
        ("99999", "Bad file descriptor"),
        ("9" * 40, "OverflowError"),
    ],
)
def test_a_descriptor_that_is_none_is_an_error(number: str, reason: str) -> None:
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FD": number}, Person("never"))
    with pytest.raises(PassphraseUnreadable) as caught:
        given.passphrase(purpose="root", key=KEY)
    source = f"TRUST_ROOT_PASSPHRASE_FD ({ascii(number)[1:-1]})"
    assert caught.value.details() == {"key": KEY, "source": source, "reason": reason}


def test_a_descriptor_without_a_passphrase_is_an_error_that_names_it() -> None:
    read, write = os.pipe()
    os.close(write)
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FD": str(read)}, None)
    with pytest.raises(PassphraseUnreadable) as caught:
        given.passphrase(purpose="root", key=KEY)
    source = f"TRUST_ROOT_PASSPHRASE_FD ({read})"
    assert caught.value.details() == {"key": KEY, "source": source, "reason": "it is empty"}
    os.close(read)


def test_an_endless_descriptor_is_not_read_for_ever() -> None:
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123
        given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FD": str(endless.fileno())}, None)
        with pytest.raises(PassphraseUnreadable, match="more than"):
            given.passphrase(purpose="root", key=KEY)


def test_other_programs_get_no_variable_with_a_passphrase() -> None:
    purposes: tuple[PassphrasePurpose, ...] = get_args(PassphrasePurpose)
    secret = {variable for purpose in purposes for variable in variables_for(purpose)}
    secret |= {"DOCKER_CONTENT_TRUST_OFFLINE_PASSPHRASE", "trust_root_passphrase"}
    kept = {"PATH": "/bin", "TRUST_SERVER": "https://trust.example.com", "NOTARY_ROOT_PASSPHRASE": "notary's own"}
    assert without_passphrases({**kept, **dict.fromkeys(secret, "secret")}) == kept


def test_a_passphrase_is_the_same_bytes_again() -> None:
    assert passphrase_bytes(os.fsdecode(b"\xff\xc3\xa4")) == b"\xff\xc3\xa4"


@pytest.mark.parametrize(("exposed", "mode"), [("folder/file", 0o666), ("folder", 0o777)])
def test_a_file_that_others_may_change_is_not_used(tmp_path: Path, exposed: str, mode: int) -> None:
    file = tmp_path / "folder" / "file"
    file.parent.mkdir(mode=0o700)
    file.write_text("secret")
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, None)
    assert given.passphrase(purpose="root", key="k") == "secret"
    (tmp_path / exposed).chmod(mode)
    with pytest.raises(PassphraseUnreadable, match=f"{exposed} has mode {mode:o}.*chmod go-w") as refused:
        given.passphrase(purpose="root", key="k")
    assert (refused.value.key, refused.value.source) == ("k", f"TRUST_ROOT_PASSPHRASE_FILE ({file})")
    assert "secret" not in str(refused.value)


def test_the_file_that_was_opened_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not another that has come into its place."""
    file = tmp_path / "file"
    file.write_text("secret")
    file.chmod(0o666)

    def replaced(path: Path, descriptor: int) -> Exposure | None:
        path.unlink()
        path.write_text("other")
        path.chmod(0o600)
        return changeable_secret(path, descriptor)

    monkeypatch.setattr(passphrase, "changeable_secret", replaced)
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, None)
    with pytest.raises(PassphraseUnreadable, match="has mode 666"):
        given.passphrase(purpose="root", key=KEY)


def _opens(wanted: str) -> Callable[[str], str]:
    def attempt(passphrase: str) -> str:
        if passphrase != wanted:
            raise PassphraseWrong(key=f"tried {passphrase}")
        return "opened"

    return attempt


def test_somebody_is_asked_three_times_and_told_that_it_was_wrong() -> None:
    for answers in (("c",), ("a", "c"), ("a", "b", "c")):
        person = Person(*answers, "d")
        given = EnvironmentPassphrases({}, person)
        assert ask_and_try(given, _opens("c"), purpose="signer", key=KEY) == ("opened", "c")
        assert person.asked == [("signer", KEY, False, retry) for retry in (False, True, True)[: len(answers)]]
    person = Person("a", "b", "c", "d")
    with pytest.raises(PassphraseWrong, match="tried c"):
        ask_and_try(EnvironmentPassphrases({}, person), _opens("d"), purpose="signer", key=KEY)
    assert len(person.asked) == ATTEMPTS == 3


def test_a_passphrase_of_the_environment_is_tried_once() -> None:
    given = EnvironmentPassphrases({"TRUST_REPOSITORY_PASSPHRASE": "a"}, Person("c"))
    assert ask_and_try(given, _opens("a"), purpose="signer", key=KEY) == ("opened", "a")
    with pytest.raises(PassphraseWrong) as caught:
        ask_and_try(given, _opens("c"), purpose="signer", key=KEY)
    assert caught.value.key == KEY


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("secret", None),
        ("secret\n", "secret"),
        ("secret\r\n", "secret"),
        ("secret\n\n", "secret\n"),
        ("\ufeffsecret", "secret"),
        ("\ufeffsecret\n", "secret"),
        ("\n", None),
        (" secret ", None),
        ("\udcff\udcfes\0e\0c\0", "sec"),
        ("\udcff\udcfes\0\xfc\0\r\0\n\0".replace("\xfc", "\udcfc"), "s\xfc"),
        ("\udcfe\udcff\0s\0e\0c", "sec"),
        ("s\0e\0c\0\r\0\n\0", "sec"),
        ("\0s\0e\0c", "sec"),
        ("\udcfe\udcff\0s\0e\0c\0", "sec"),
        ("\udcff\udcfe\0\udcd8a\0", None),  # half of a surrogate pair: this is no UTF-16
        ("\udcfe\udcff\udcd8\0\0a", None),
        ("\udcff\udcfe", None),
        ("s", None),
        ("\0", None),
        ("s\0e", "s"),
    ],
)
def test_a_passphrase_is_tried_as_it_is_and_as_it_was_meant(given: str, meant: str | None) -> None:
    assert forms_of(given) == ((given,) if meant is None else (given, meant))


@given_bytes
def test_whatever_a_passphrase_is_each_of_its_forms_can_be_tried(raw: bytes) -> None:
    given = raw.decode(errors="surrogateescape")
    forms = forms_of(given)
    assert forms[0] == given
    assert passphrase_bytes(forms[0]) == raw
    assert all(passphrase_bytes(form) for form in forms[1:])
    assert len(set(forms)) == len(forms) <= 2


def test_a_new_passphrase_that_nothing_was_added_to_is_taken_as_it_is() -> None:
    passphrases = EnvironmentPassphrases({"TRUST_NEW_PASSPHRASE": "secret"}, None)
    assert passphrases.passphrase(purpose="new", key=KEY, new=True) == "secret"


@pytest.mark.parametrize("variable", ["TRUST_ROOT_PASSPHRASE", "TRUST_ROOT_PASSPHRASE_FILE"])
def test_what_opens_is_what_is_kept(tmp_path: Path, variable: str) -> None:
    """A key of docker may have been made with the newline in the variable; others were not."""
    content = "\ufeffsecret\n"
    file = tmp_path / "passphrase"
    file.write_text(content)
    passphrases = EnvironmentPassphrases({variable: str(file) if variable.endswith("FILE") else content}, None)
    for right in ("secret", content.removesuffix("\n") if variable.endswith("FILE") else content):

        def attempt(passphrase: str, right: str = right) -> int:
            if passphrase != right:
                raise PassphraseWrong(key=KEY)
            return 7

        assert ask_and_try(passphrases, attempt, purpose="root", key=KEY) == (7, right)
    with pytest.raises(PassphraseWrong):
        ask_and_try(passphrases, attempt_nothing, purpose="root", key=KEY)
    assert passphrases.passphrase(purpose="root", key=KEY, new=True) == "secret"


def attempt_nothing(_: str) -> None:
    raise PassphraseWrong(key=KEY)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_of_windows_opens_the_key(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"\xff\xfe" * (encoding == "utf-16-le") + b"\xfe\xff" * (encoding == "utf-16-be"))
    file.write_bytes(file.read_bytes() + "Geheimnis-ü\r\n".encode(encoding))
    given = EnvironmentPassphrases({"TRUST_ROOT_PASSPHRASE_FILE": str(file)}, None)
    assert given.passphrase(purpose="root", key=KEY, new=True) == "Geheimnis-ü"

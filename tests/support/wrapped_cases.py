"""What is tried with wrapped keys, each in a process of its own: `python -m tests.support.wrapped_cases NAME ...`."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from keys.algorithms import PublicKey
from keys.errors import (
    KeyAmbiguous,
    KeyNotOnToken,
    KeySchemeUnknown,
    KeysError,
    KeyUriMalformed,
    SignatureNotVerified,
    TokenDeclined,
    TokenError,
    TokenKeyUnfit,
    TokenPinWrong,
)
from keys.key_info import KeyInfo
from keys.notary_signer import NotarySigner
from keys.passphrase import EnvironmentPassphrases
from keys.pkcs11 import wrapped_keys, wrapped_objects
from keys.pkcs11.library import library_at
from keys.pkcs11.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from keys.pkcs11.wrapped_keys import TokenWrapping
from keys.signers import FileSigner
from tests.support.softhsm import MODULE, PIN, QUERY

HOLDER: Final = EnvironmentPassphrases(os.environ, None)
URI: Final = f"pkcs11:token=one;object=wrapping{QUERY}"


def prepared(uri: str = URI) -> TokenWrapping:
    token = TokenWrapping(uri, HOLDER)
    token.prepare(may_make=True)
    return token


def signs(token: TokenWrapping, wrapped: bytes, public: PublicKey) -> None:
    """Sign as both formats do, and verify."""
    private = token.open(wrapped, public)
    info = KeyInfo.of(private, purpose="root")
    info.public.verify_signature(FileSigner(private, info).sign(b"payload"), b"payload")
    notary = NotarySigner(private)
    notary.public_key.verify_signature(notary.sign(b"payload"), b"payload")


def of_session(make: Callable[[pkcs11.Session], Any]) -> Any:
    """Do something to the token as somebody else would."""
    with library_at(MODULE) as library:
        writing, _ = library.writing_session(read_pkcs11_uri(f"pkcs11:token=one{QUERY}"))
        try:
            return make(writing)
        finally:
            writing.close()


def many_keys() -> None:
    """One key of the token wraps any number; only it stays there, and each of the others signs when it is wanted."""
    absent = TokenWrapping(URI, HOLDER)
    assert (absent.place, absent.failure) == ("", None)
    with pytest.raises(KeyNotOnToken, match="secret key with object wrapping"):
        absent.prepare(may_make=False)
    token = prepared()
    assert token.place.startswith("pkcs11:serial=")
    assert ";id=%" in token.place
    assert not any(word in token.place for word in ("module", "object", "token", "?"))
    vars(wrapped_keys)["HELD"] = 2
    made = [token.make() for _ in range(4)]
    assert len({each.wrapped for each in made}) == 4
    for each in [*made, *reversed(made)]:
        signs(token, each.wrapped, each.public)
        with library_at(MODULE) as library:
            assert len(library.session(read_pkcs11_uri(URI), HOLDER).held) == 2
    again = prepared()
    assert again.place == token.place
    signs(again, made[0].wrapped, made[0].public)
    kept = of_session(lambda session: [each[Attribute.CLASS] for each in session.get_objects()])
    assert kept.count(ObjectClass.SECRET_KEY) == 1
    assert kept.count(ObjectClass.PRIVATE_KEY) <= 2, "those that are held, until the session ends"
    for each in made:
        assert PIN.encode() not in each.wrapped
        assert b"\x2a\x86\x48\xce\x3d" not in each.wrapped, "no PKCS#8"


def what_may_leave_the_token() -> None:
    """Nothing but private keys that are encrypted there; they are readable at no time, and only one is kept there."""
    token = prepared()
    uri, seen = read_pkcs11_uri(URI), []

    class Watched:
        """The wrapping key, which looks at what it is to wrap."""

        def __init__(self, key: Any) -> None:
            self._key = key

        def wrap_key(self, key: Any, **how: Any) -> bytes:
            seen.append(key)
            assert (key[Attribute.TOKEN], key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (False, True, True)
            assert (key[Attribute.SIGN], key[Attribute.DECRYPT], key[Attribute.UNWRAP]) == (True, False, False)
            assert not key[Attribute.DERIVE]
            wrapped: bytes = self._key.wrap_key(key, **how)
            return wrapped

    with library_at(MODULE) as library:
        session = library.session(uri, HOLDER)
        wrapping: Any = wrapped_objects.wrapping_key(session.raw, uri, session.facts)
        assert (wrapping[Attribute.TOKEN], wrapping[Attribute.VALUE_LEN], len(wrapping[Attribute.ID])) == (True, 32, 8)
        assert (wrapping[Attribute.SENSITIVE], wrapping[Attribute.EXTRACTABLE]) == (True, False)
        assert (wrapping[Attribute.NEVER_EXTRACTABLE], wrapping[Attribute.ALWAYS_SENSITIVE]) == (True, True)
        assert (wrapping[Attribute.WRAP], wrapping[Attribute.UNWRAP]) == (True, True)
        assert (wrapping[Attribute.ENCRYPT], wrapping[Attribute.DECRYPT], wrapping[Attribute.SIGN]) == (False,) * 3
        public, wrapped = wrapped_objects.make_wrapped(session.raw, Watched(wrapping), session.facts)  # type: ignore[arg-type]
        (made,) = seen
        with pytest.raises(pkcs11.exceptions.PKCS11Error):
            made[Attribute.EXTRACTABLE]
    signs(token, wrapped, public)
    with library_at(MODULE) as library:
        for held in library.session(uri, HOLDER).held.values():
            key: Any = held
            assert (key[Attribute.TOKEN], key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (False, True, False)
            assert (key[Attribute.SIGN], key[Attribute.DECRYPT], key[Attribute.UNWRAP]) == (True, False, False)
            assert not key[Attribute.DERIVE]
    kept = of_session(
        lambda session: [each[Attribute.CLASS] for each in session.get_objects() if each[Attribute.TOKEN]]
    )
    assert kept == [ObjectClass.SECRET_KEY]


def keys_that_do_not_wrap() -> None:
    """Kind, rights and whether it could leave the token are looked at; so is which one is meant."""
    wraps = MechanismFlag.WRAP | MechanismFlag.UNWRAP
    closed = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}

    def made(session: pkcs11.Session) -> None:
        for label, kind, bits, flags, template in (
            ("open", KeyType.AES, 256, wraps, {Attribute.EXTRACTABLE: True}),
            ("no rights", KeyType.AES, 256, MechanismFlag.ENCRYPT, closed),
            ("wraps", KeyType.AES, 256, MechanismFlag.WRAP, closed),
            ("unwraps", KeyType.AES, 256, MechanismFlag.UNWRAP, closed),
            ("other", KeyType.DES3, None, wraps, closed),
            ("two", KeyType.AES, 256, wraps, closed),
            ("two", KeyType.AES, 128, wraps, closed),
            ("bare", KeyType.AES, 256, wraps, closed),
        ):
            session.generate_key(kind, bits, label=label, store=True, capabilities=flags, template=template)

    def refusal(label: str, *, may_make: bool = True) -> dict[str, object]:
        with pytest.raises(KeysError) as caught:
            TokenWrapping(f"pkcs11:token=one;object={label}{QUERY}", HOLDER).prepare(may_make=may_make)
        return {"class": type(caught.value), **caught.value.details()}

    with library_at(MODULE) as library:
        token = library.session(read_pkcs11_uri(URI), HOLDER).facts.described
    absent = refusal("none", may_make=False)
    assert absent == {**absent, "class": KeyNotOnToken, "key": "secret key with object none", "token": token}
    of_session(made)
    for label, said in (
        ("open", "can be taken off the token"),
        ("no%20rights", "may not wrap and unwrap"),
        ("wraps", "may not wrap and unwrap"),
        ("unwraps", "may not wrap and unwrap"),
        ("other", "is no AES key"),
    ):
        reason = f"the key with object {label.replace('%20', ' ')} {said}: no keys are wrapped with it"
        assert refusal(label) == {"class": TokenKeyUnfit, "token": token, "reason": reason}
    two = refusal("two")
    assert two == {**two, "class": KeyAmbiguous, "key": f"secret key with object two on {token}"}

    def refuses(*_: object) -> None:
        raise pkcs11.exceptions.FunctionNotSupported

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wrapped_objects, "make_wrapping_key", refuses)
        with pytest.raises(TokenDeclined, match="FunctionNotSupported") as caught:
            TokenWrapping(f"pkcs11:token=one;object=none{QUERY}", HOLDER).prepare(may_make=True)
    assert caught.value.token.startswith("token one (serial ")

    def makes_an_open_one(session: pkcs11.Session, uri: Pkcs11Uri) -> None:
        session.generate_key(
            KeyType.AES,
            256,
            id=uri.id,
            label=uri.object,
            store=True,
            capabilities=wraps,
            template={Attribute.EXTRACTABLE: True},
        )

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wrapped_objects, "make_wrapping_key", makes_an_open_one)
        made_open = refusal("opened")
    assert (made_open["class"], made_open["token"]) == (TokenKeyUnfit, token), "also a key that was just made is judged"
    bare = prepared(f"pkcs11:token=one;object=bare{QUERY}")
    assert bare.place.endswith(";object=bare")
    one = bare.make()
    signs(bare, one.wrapped, one.public)
    with pytest.raises(KeyUriMalformed, match="does not name the key of the token that wraps") as caught_uri:
        TokenWrapping(f"pkcs11:token=one{QUERY}", HOLDER)
    assert caught_uri.value.uri == f"pkcs11:token=one{QUERY}"
    with pytest.raises(KeySchemeUnknown):
        TokenWrapping("sigstore:x", HOLDER)
    named = prepared(f"pkcs11:token=one;object=new;id=%07{QUERY}")
    assert named.place.endswith(";id=%07")


def what_the_token_refuses() -> None:
    """Whatever it is asked for, the error names the token and what its library says."""

    def refuses(*_: object) -> None:
        raise pkcs11.exceptions.FunctionNotSupported

    token = prepared()
    one = token.make()
    private = token.open(one.wrapped, one.public)
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))

    def of_a_new_session(use: Callable[[], object]) -> None:
        with library_at(MODULE) as library:
            session = library.session(read_pkcs11_uri(URI), HOLDER)
            session.wrapping.clear()
            session.held.clear()
        use()

    for module, name, use in (
        (wrapped_objects, "wrapping_key", prepared),
        (wrapped_objects, "wrapping_key", token.make),
        (wrapped_objects, "make_wrapped", token.make),
        (wrapped_objects, "unwrapped", token.make),
        (wrapped_objects, "unwrapped", lambda: signer.sign(b"x")),
        (wrapped_objects, "still_there", lambda: signer.sign(b"x")),
        (wrapped_keys, "signature", lambda: signer.sign(b"x")),
    ):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, name, refuses)
            with pytest.raises(TokenDeclined, match="FunctionNotSupported") as caught:
                of_a_new_session(use)
        assert caught.value.token.startswith("token one (serial ")

    def no_point(*_: object) -> None:
        raise ValueError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wrapped_objects, "ec_public_key", no_point)
        with pytest.raises(TokenKeyUnfit, match="does not show the public half") as unfit:
            token.make()
    assert unfit.value.token.startswith("token one (serial ")
    signs(token, one.wrapped, one.public)

    def take_it_off(session: pkcs11.Session) -> None:
        for each in list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})):
            each.destroy()

    of_session(take_it_off)
    with pytest.raises(KeyNotOnToken) as gone:
        of_a_new_session(token.make)
    assert gone.value.token.startswith("token one (serial ")


def other_wrapping_keys_and_other_public_keys() -> None:
    """What another key has wrapped is refused, and so is a signature of another key than the one that is recorded."""
    token, other = prepared(), prepared(f"pkcs11:token=one;object=other{QUERY}")
    assert token.place != other.place
    one, two = token.make(), token.make()
    with pytest.raises(TokenError):
        signs(other, one.wrapped, one.public)
    assert other.failure is not None
    with pytest.raises(TokenError):
        signs(token, one.wrapped[:-8], one.public)
    with pytest.raises(SignatureNotVerified):
        signs(token, one.wrapped, two.public)
    signs(token, one.wrapped, one.public)
    assert token.failure is None


def removed_in_the_middle(tokens: str) -> None:
    """Every use fails with a true error until the token is back; then the same keys sign again."""
    token = prepared()
    one = token.make()
    private = token.open(one.wrapped, one.public)
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    signer.sign(b"x")
    away = f"{tokens}-away"
    shutil.move(tokens, away)
    Path(tokens).mkdir()
    for attempt in (lambda: signer.sign(b"x"), token.make, lambda: signer.sign(b"x")):
        with pytest.raises(TokenError):
            attempt()
        assert isinstance(token.failure, TokenError)
    Path(tokens).rmdir()
    shutil.move(away, tokens)
    signer.sign(b"x")
    assert token.failure is None
    signs(token, one.wrapped, one.public)


def wrong_pin() -> None:
    """It is tried once, however often the token is asked for."""
    token = TokenWrapping(URI, EnvironmentPassphrases({"TRUST_TOKEN_PIN": "0000"}, None))
    for _ in range(3):
        with pytest.raises(TokenPinWrong):
            token.prepare(may_make=True)
        with pytest.raises(TokenPinWrong):
            token.make()
    assert isinstance(token.failure, TokenPinWrong)


def threads_and_forks() -> None:
    """Sixteen threads sign with keys of their own, and a child of the process with all of them."""
    token = prepared()
    made = [token.make() for _ in range(16)]
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                each = made[(number + turn) % 16]
                signs(token, each.wrapped, each.public)
        except BaseException as error:  # noqa: BLE001 - told below
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    child = os.fork()
    if child == 0:
        try:
            for each in made:
                signs(token, each.wrapped, each.public)
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    signs(token, made[0].wrapped, made[0].public)


CASES: Final = {
    each.__name__: each
    for each in (
        keys_that_do_not_wrap,
        many_keys,
        other_wrapping_keys_and_other_public_keys,
        removed_in_the_middle,
        threads_and_forks,
        what_may_leave_the_token,
        what_the_token_refuses,
        wrong_pin,
    )
}

if __name__ == "__main__":
    CASES[sys.argv[1]](*sys.argv[2:])

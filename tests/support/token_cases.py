"""What is tried on tokens of SoftHSM2, each in a process of its own: `python -m tests.support.token_cases NAME ...`."""

from __future__ import annotations

import os
import shutil
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.certificate import certificate_fault, root_certificate
from keys.errors import (
    KeyAmbiguous,
    KeyExists,
    KeyNotOnToken,
    PassphraseUnreadable,
    SignatureNotVerified,
    TokenAmbiguous,
    TokenDeclined,
    TokenGone,
    TokenKeyUnfit,
    TokenMissing,
    TokenModuleUnusable,
    TokenPinWrong,
)
from keys.key_info import KeyInfo
from keys.key_opening import find_key, make_key, open_key, prove_key
from keys.notary_signer import NotarySigner
from keys.passphrase import EnvironmentPassphrases
from keys.pkcs11 import library, pin, token_keys, token_objects
from keys.pkcs11.pin import Pin
from keys.pkcs11.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from keys.pkcs11.public_objects import EDWARDS25519, P256
from keys.pkcs11.token_facts import TokenFacts
from keys.signers import FileSigner
from tests.support.certificates import make_authority
from tests.support.prompted_person import Person
from tests.support.softhsm import MODULE, PIN, QUERY

HOLDER: Final = EnvironmentPassphrases(os.environ, None)
AT: Final = datetime(2026, 11, 30, tzinfo=UTC)
THREADS, SIGNATURES = 16, 100


def signs(private: PrivateKey) -> None:
    """Sign as both formats do, and verify."""
    info = KeyInfo.of(private, purpose="root")
    info.public.verify_signature(FileSigner(private, info).sign(b"payload"), b"payload")
    notary = NotarySigner(private)
    notary.public_key.verify_signature(notary.sign(b"payload"), b"payload")
    if info.algorithm is not Algorithm.ED25519:
        certificate = root_certificate(private, gun="example.com/app", at=AT)
        assert certificate_fault(certificate, gun="example.com/app", at=AT) is None
        sys.stdout.write(certificate.keyval["public"] + "\n")


def every_algorithm() -> None:
    """A key of each kind is made inside the token, never leaves it, is found again, and signs as both formats do."""
    for algorithm in Algorithm:
        found = make_key(f"pkcs11:token=one{QUERY}", algorithm, f"of {algorithm}", HOLDER, "root")
        assert "serial=" in found.uri
        assert f"object=of%20{algorithm};id=%" in found.uri
        again = find_key(f"pkcs11:object=of%20{algorithm}{QUERY}", HOLDER, "root")
        assert again.public == found.public
        assert again.uri == found.uri
        signs(open_key(found.uri, found.public, HOLDER, "root"))
    writing = _writing()
    made = list(writing.get_objects({Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}))
    assert len(made) == len(Algorithm)
    for key in made:
        assert (key[Attribute.TOKEN], key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, True, False)
        assert (key[Attribute.NEVER_EXTRACTABLE], key[Attribute.ALWAYS_SENSITIVE]) == (True, True)
        assert (key[Attribute.SIGN], key[Attribute.DECRYPT], key[Attribute.UNWRAP]) == (True, False, False)
        assert len(key[Attribute.ID]) == 8
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[Attribute.PRIVATE_EXPONENT if key[Attribute.KEY_TYPE] == pkcs11.KeyType.RSA else Attribute.VALUE]
    writing.close()


def names_and_ids() -> None:
    """What a URI may leave open, and what fits several keys."""
    one = make_key(f"pkcs11:token=one;id=%02;object=a{QUERY}", Algorithm.ECDSA_P256, "unused", HOLDER, "root")
    assert ";object=a;id=%02?" in one.uri
    for taken, called in (("object=a;id=%03", "a key with object a"), ("object=b;id=%02", "a key with id 02")):
        with pytest.raises(KeyExists, match=f"^{called} exists already: token one"):
            make_key(f"pkcs11:token=one;{taken}{QUERY}", Algorithm.ECDSA_P256, "unused", HOLDER, "root")
    public, absent = find_key(one.uri, HOLDER, "root").public, f"pkcs11:object=zz{QUERY}"
    for look in (lambda: find_key(absent, HOLDER, "root"), lambda: open_key(absent, public, HOLDER, "root")):
        with pytest.raises(KeyNotOnToken, match="there is no key with object zz on token one"):
            look()
    session = _writing()
    for label, keyid in (("twice", b"\x07"), ("twice", b"\x08"), ("bare", b"")):
        session.generate_keypair(
            KeyType.RSA, 2048, id=keyid, label=label, store=True, capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY
        )
    with pytest.raises(KeyAmbiguous) as caught:
        find_key(f"pkcs11:object=twice{QUERY}", HOLDER, "root")
    assert caught.value.candidates == ("key with object twice and id 07", "key with object twice and id 08")
    assert "id=" not in find_key(f"pkcs11:object=bare{QUERY}", HOLDER, "root").uri


def keys_that_do_not_fit() -> None:
    """Keys that may not sign, of curves that are not used, without a public half, of another kind."""
    session = _writing()
    signing = MechanismFlag.SIGN | MechanismFlag.VERIFY
    session.generate_keypair(
        KeyType.RSA, 2048, id=b"\x01", label="decrypts", store=True, capabilities=MechanismFlag.DECRYPT
    )
    with pytest.raises(TokenKeyUnfit, match="may not sign"):
        find_key(f"pkcs11:object=decrypts{QUERY}", HOLDER, "root")
    p521 = {Attribute.EC_PARAMS: bytes.fromhex("06052b81040023")}
    parameters = session.create_domain_parameters(KeyType.EC, p521, local=True)
    parameters.generate_keypair(id=b"\x02", label="p521", store=True, capabilities=signing)
    with pytest.raises(KeyNotOnToken, match="no public key or certificate beside key with object p521 and id 02"):
        find_key(f"pkcs11:object=p521{QUERY}", HOLDER, "root")
    p256 = {Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
    parameters = session.create_domain_parameters(KeyType.EC, p256, local=True)
    public, _ = parameters.generate_keypair(id=b"\x03", label="half", store=True, capabilities=signing)
    found = find_key(f"pkcs11:object=half{QUERY}", HOLDER, "root")
    for algorithm in (Algorithm.RSA, Algorithm.ED25519):
        with pytest.raises(TokenKeyUnfit) as caught:
            open_key(found.uri, generate(algorithm).public_key(), HOLDER, "root")
        assert caught.value.token.startswith("token one (serial ")
        which = "key with object half and id 03"
        assert caught.value.reason == f"{which} is of another kind than the public key that is recorded for it"
    other = generate().public_key()
    with pytest.raises(SignatureNotVerified, match=r"key with object half and id 03 on token token=one;serial="):
        FileSigner(open_key(found.uri, other, HOLDER, "root"), KeyInfo.of(other, purpose="root")).sign(b"x")
    public[Attribute.LABEL] = "other"  # found by its id all the same
    assert find_key(f"pkcs11:object=half{QUERY}", HOLDER, "root").public == found.public
    public.destroy()
    with pytest.raises(KeyNotOnToken, match="no public key or certificate beside"):
        find_key(f"pkcs11:object=half{QUERY}", HOLDER, "root")
    private = open_key(found.uri, found.public, HOLDER, "root")
    certificate = _certificate(private)
    session.create_object(certificate)
    assert find_key(f"pkcs11:object=half{QUERY}", HOLDER, "root").public == found.public
    session.create_object({**certificate, Attribute.VALUE: b"\x30\x03\x02\x01\x01", Attribute.ID: b"\x02"})
    with pytest.raises(TokenKeyUnfit, match="the public half of key with object p521 and id 02 cannot be read"):
        find_key(f"pkcs11:object=p521{QUERY}", HOLDER, "root")


def a_pin_for_each_signature() -> None:
    """A key that wants the PIN at each signature, as slot 9c of PIV does, of each kind."""
    session = _writing()
    wanted: dict[str, Any] = {
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.ALWAYS_AUTHENTICATE: True},
    }
    session.generate_keypair(KeyType.RSA, 2048, id=b"\x09", label="rsa", **wanted)
    for label, kind, curve in (("p256", KeyType.EC, P256), ("ed25519", KeyType.EC_EDWARDS, EDWARDS25519)):
        domain = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve}, local=True)
        domain.generate_keypair(id=label.encode(), label=label, **wanted)
    for label in ("rsa", "p256", "ed25519"):
        found = find_key(f"pkcs11:object={label}{QUERY}", HOLDER, "root")
        signs(open_key(found.uri, found.public, HOLDER, "root"))


def two_tokens_of_one_label(first: str, second: str) -> None:
    """Refused by name; the serial number says which."""
    with pytest.raises(TokenAmbiguous) as caught:
        make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
    assert set(caught.value.candidates) == {f"token one (serial {first})", f"token one (serial {second})"}
    made = [
        make_key(f"pkcs11:serial={serial}{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
        for serial in (first, second)
    ]
    for serial, found in zip((first, second), made, strict=True):
        assert find_key(f"pkcs11:serial={serial};object=a{QUERY}", HOLDER, "root").public == found.public
        prove_key(found, HOLDER, "root")


def no_such_token() -> None:
    """Another label, a module that is none, one that is not there."""
    with pytest.raises(TokenMissing, match=r"there is no token token=two; there are: token one \(serial"):
        find_key(f"pkcs11:token=two;object=a{QUERY}", HOLDER, "root")
    for path in ("/nowhere/x.so", "/etc/passwd", "/lib/x86_64-linux-gnu/libc.so.6"):
        with pytest.raises(TokenModuleUnusable, match=path.replace(".", r"\.")):
            find_key(f"pkcs11:object=a?module-path={path}", HOLDER, "root")


def none_at_all() -> None:
    """No token is there."""
    with pytest.raises(TokenMissing, match=r"^there is no token at all$"):
        find_key(f"pkcs11:object=a{QUERY}", HOLDER, "root")


def wrong_pin() -> None:
    """It is tried once, whoever asks how often; another one opens the token."""
    judged: list[str] = []
    refused = pin.refused

    def counted(before: TokenFacts, pin: Pin, after: TokenFacts | None) -> TokenPinWrong:
        judged.append(before.label)
        return refused(before, pin, after)

    vars(library)["refused"] = counted
    wrong = EnvironmentPassphrases({"TRUST_TOKEN_PIN": "0000"}, None)
    for _ in range(5):
        with pytest.raises(TokenPinWrong, match="it was tried once, and how many tries are left is not known"):
            find_key(f"pkcs11:object=a{QUERY}", wrong, "root")
    assert judged == ["one"]
    for odd, error in (("1", TokenPinWrong), ("\udcff", PassphraseUnreadable), ("1\t3", PassphraseUnreadable)):
        with pytest.raises(error):
            find_key(f"pkcs11:object=a{QUERY}", EnvironmentPassphrases({"TRUST_TOKEN_PIN": odd}, None), "root")
    person = Person(PIN)
    with pytest.raises(KeyNotOnToken):
        find_key(f"pkcs11:object=a{QUERY}", EnvironmentPassphrases({}, person), "root")
    with pytest.raises(KeyNotOnToken):
        find_key(f"pkcs11:object=b{QUERY}", EnvironmentPassphrases({}, person), "root")
    assert [(purpose, retry) for purpose, _, _, retry in person.asked] == [("token", False)]


def pin_in_a_file(file: str) -> None:
    """A `pin-source`, before every other source; a line end is no part of it."""
    nobody = EnvironmentPassphrases({"TRUST_TOKEN_PIN": "wrong"}, None)
    Path(file).write_text(f"{PIN}\n")
    Path(file).chmod(0o600)
    found = make_key(f"pkcs11:token=one{QUERY}&pin-source=file:{file}", Algorithm.ECDSA_P256, "a", nobody, "root")
    assert found.uri.endswith(f"&pin-source=file:{file}")


def removed_in_the_middle(tokens: str) -> None:
    """A true error, at every use, until the token is back; then it signs again."""
    found = make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
    private = open_key(found.uri, found.public, HOLDER, "root")
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    signer.sign(b"x")
    away = f"{tokens}-away"
    shutil.move(tokens, away)
    Path(tokens).mkdir()
    for _ in range(3):
        with pytest.raises((TokenGone, TokenMissing)):
            signer.sign(b"x")
    with pytest.raises(TokenMissing, match="there is no token"):
        find_key(found.uri, HOLDER, "root")
    Path(tokens).rmdir()
    shutil.move(away, tokens)
    signer.sign(b"x")


def a_token_that_was_added_meanwhile(tokens: str) -> None:
    """It is seen, though a library sees only what was there when it was started."""
    away = f"{tokens}-away"
    shutil.move(tokens, away)
    Path(tokens).mkdir()
    with pytest.raises(TokenMissing):
        find_key(f"pkcs11:object=a{QUERY}", HOLDER, "root")
    Path(tokens).rmdir()
    shutil.move(away, tokens)
    make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")


def sixteen_threads() -> None:
    """All sign with one session, under one lock."""
    found = make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
    private = open_key(found.uri, found.public, HOLDER, "root")
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    done: list[int] = []

    def work() -> None:
        for number in range(SIGNATURES):
            signer.sign(str(number).encode())
        done.append(SIGNATURES)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == THREADS * SIGNATURES


def after_a_fork() -> None:
    """A child logs in by itself, also while a thread of its parent signs; the parent goes on."""
    found = make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
    private = open_key(found.uri, found.public, HOLDER, "root")
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    signer.sign(b"x")
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                signer.sign(b"in the child")
                prove_key(found, HOLDER, "root")
            except BaseException as error:  # noqa: BLE001 - told to the parent
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
        signer.sign(b"in the parent")


def many_processes(count: str) -> None:
    """Processes that log in at once all sign."""
    found = make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "a", HOLDER, "root")
    library._libraries.clear()
    children = []
    for _ in range(int(count)):
        child = os.fork()
        if child == 0:
            try:
                prove_key(found, HOLDER, "root")
            except BaseException as error:  # noqa: BLE001 - told to the parent
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * int(count)


def what_a_token_refuses(tokens: str) -> None:
    """A token that cannot be written is told by the name of what the library says."""
    find = f"pkcs11:token=one{QUERY}"
    make_key(find, Algorithm.ECDSA_P256, "a", HOLDER, "root")
    folder = next(Path(tokens).iterdir())
    shutil.rmtree(folder)
    with pytest.raises((TokenDeclined, TokenGone, TokenMissing)):
        make_key(find, Algorithm.ECDSA_P256, "b", HOLDER, "root")


def refused_in_the_middle() -> None:
    """Whatever a token is asked for, the error names it and what its library says."""
    place = f"pkcs11:token=one{QUERY}"
    found = make_key(place, Algorithm.ECDSA_P256, "a", HOLDER, "root")
    private = open_key(found.uri, found.public, HOLDER, "root")
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))

    def refuses(*_: object) -> None:
        raise pkcs11.exceptions.FunctionNotSupported

    def made() -> None:
        make_key(place, Algorithm.ECDSA_P256, "b", HOLDER, "root")

    for module, name, use in (
        (token_objects, "private_object", lambda: find_key(found.uri, HOLDER, "root")),
        (token_objects, "public_half", lambda: find_key(found.uri, HOLDER, "root")),
        (token_objects, "private_object", lambda: open_key(found.uri, found.public, HOLDER, "root")),
        (token_objects, "private_object", lambda: signer.sign(b"x")),
        (token_objects, "wants_pin_each_time", lambda: signer.sign(b"x")),
        (token_keys, "signature", lambda: signer.sign(b"x")),
        (token_objects, "make_key", made),
    ):
        with library.library_at(MODULE) as opened:
            opened.session(read_pkcs11_uri(found.uri), HOLDER).handles.clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, name, refuses)
            with pytest.raises(TokenDeclined, match="FunctionNotSupported") as caught:
                use()
        assert caught.value.token.startswith("token one (serial ")

    class Closed:
        def open(self, *, rw: bool) -> None:
            assert rw
            refuses()

    uri = read_pkcs11_uri(found.uri)
    with library.library_at(MODULE) as opened, pytest.MonkeyPatch.context() as patched:
        facts = opened.session(uri, HOLDER).facts
        patched.setattr(library.Library, "token", lambda *_: (Closed(), facts))
        with pytest.raises(TokenDeclined, match="FunctionNotSupported") as caught:
            opened.writing_session(uri)
    assert caught.value.token == facts.described

    def unreadable(*_: object) -> None:
        raise ValueError

    for attempt in (made, lambda: find_key(found.uri, HOLDER, "root")):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(token_objects, "ec_public_key", unreadable)
            with pytest.raises(TokenKeyUnfit, match=r"the public half of .* cannot be read") as unfit:
                attempt()
        assert unfit.value.token.startswith("token one (serial ")
    signer.sign(b"x")


def tls_after_it(folder: str) -> None:
    """What a library has left in OpenSSL's queue of errors is no fault of the TLS connections of this process."""
    here = _connected(make_authority(Path(folder)).server_context(Path(folder)))

    def waits() -> None:
        with pytest.raises(ssl.SSLWantReadError):  # nobody has written anything
            here.read(1)

    waits()
    found = make_key(f"pkcs11:token=one{QUERY}", Algorithm.ECDSA_P256, "tls", HOLDER, "root")
    waits()
    with pytest.raises(KeyNotOnToken):
        find_key(f"pkcs11:token=one;object=none{QUERY}", HOLDER, "root")
    waits()
    prove_key(found, HOLDER, "root")
    waits()


def _connected(server: ssl.SSLContext) -> ssl.SSLObject:
    """The client's end of a connection in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (here, there, here, there):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return here


def _writing() -> pkcs11.Session:
    """A session of our own that may write, logged in once the code that is tested is."""
    with pytest.raises(KeyNotOnToken):
        find_key(f"pkcs11:token=one;object=nothing{QUERY}", HOLDER, "root")
    with library.library_at(MODULE) as loaded:
        return loaded.writing_session(Pkcs11Uri(module=MODULE, token="one"))[0]


def _certificate(private: PrivateKey) -> dict[Attribute, Any]:
    from base64 import b64decode

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = b64decode(root_certificate(private, gun="example.com/app", at=AT).keyval["public"])
    certificate = x509.load_pem_x509_certificate(pem)
    return {
        Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
        Attribute.TOKEN: True,
        Attribute.ID: b"\x03",
        Attribute.LABEL: "certificate",
        Attribute.SUBJECT: certificate.subject.public_bytes(),
        Attribute.VALUE: certificate.public_bytes(Encoding.DER),
    }


CASES: Final[dict[str, Callable[..., None]]] = {
    each.__name__: each
    for each in (
        a_pin_for_each_signature,
        a_token_that_was_added_meanwhile,
        after_a_fork,
        every_algorithm,
        keys_that_do_not_fit,
        many_processes,
        names_and_ids,
        no_such_token,
        none_at_all,
        pin_in_a_file,
        refused_in_the_middle,
        removed_in_the_middle,
        sixteen_threads,
        tls_after_it,
        two_tokens_of_one_label,
        what_a_token_refuses,
        wrong_pin,
    )
}

if __name__ == "__main__":
    CASES[sys.argv[1]](*sys.argv[2:])

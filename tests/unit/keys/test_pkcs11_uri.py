"""PKCS#11 URIs: those of RFC 7512, what p11tool prints, and what is refused with the right form."""

from __future__ import annotations

import pytest

from keys.errors import KeyUriMalformed
from keys.pkcs11.pkcs11_uri import Pkcs11Uri, read_pkcs11_uri
from keys.uris.uri import shown_uri

MODULE = "module-path=/usr/lib/softhsm/libsofthsm2.so"


def read(path: str, query: str = MODULE) -> Pkcs11Uri:
    return read_pkcs11_uri(f"pkcs11:{path}?{query}")


def test_what_a_uri_says() -> None:
    uri = read(
        "token=T%20;serial=S;manufacturer=M;model=SoftHSM%20v2;object=N%3b;id=%02%ff;type=private", f"{MODULE}&x=1"
    )
    assert uri == Pkcs11Uri(
        module="/usr/lib/softhsm/libsofthsm2.so",
        token="T ",
        serial="S",
        manufacturer="M",
        model="SoftHSM v2",
        object="N;",
        id=b"\x02\xff",
    )
    assert uri.names_key
    assert uri.described_token == "token=T ;serial=S;manufacturer=M;model=SoftHSM v2"
    assert uri.described_key == "key with object N; and id 02ff"


@pytest.mark.parametrize(
    "path",
    [  # RFC 7512, section 3, with a library added where they have none
        "object=my-pubkey;type=public",
        "object=my-key;type=private",
        "token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=",
        "object=my-sign-key;type=private",
        "token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.",
        "id=%69%95%3E%5C%F4%BD%EC%91",
        "token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate",
        "token=My%20token%20created%20by%20Joe;object=my-certificate",
        "token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1",
        "",
    ],
)
def test_examples_of_the_rfc_are_read_and_written_so_that_they_read_the_same(path: str) -> None:
    uri = read(path)
    assert read_pkcs11_uri(uri.text) == uri


def test_what_is_written_has_all_that_is_needed_to_find_the_key_again() -> None:
    uri = read("object=a/b;id=%02", f"{MODULE}&pin-source=file:/run/secrets/my%20pin")
    assert uri.pin_file == "/run/secrets/my pin"
    assert uri.text == f"pkcs11:object=a%2Fb;id=%02?{MODULE}&pin-source=file:/run/secrets/my%20pin"


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("object=a;object=b", MODULE, ": object stands in it twice"),
        ("object=a", f"{MODULE}&{'v' * 50}=1&{'v' * 50}=2", f": {'v' * 40} stands in it twice"),
        ("object", MODULE, ": 'object' is no NAME=VALUE"),
        ("o" * 50, MODULE, f": '{'o' * 40}' is no NAME=VALUE"),
        ("object=a;id=", MODULE, "its id is empty"),
        ("object=a;slot-id=1", MODULE, "by slot-id here; use token, serial, manufacturer, model, object, id, type"),
        (f"{'v' * 50}=1", MODULE, f"no token is chosen by {'v' * 40} here"),
        ("object=a;x-vendor=1", MODULE, "no token is chosen by x-vendor here"),
        ("object=%ff", MODULE, "is not UTF-8"),
        ("object=a;type=cert", MODULE, "type=cert is no kind of key that signs"),
        (f"object=a;type={'c' * 50}", MODULE, f"type={'c' * 40} is no kind of key that signs"),
        ("object=a", f"{MODULE}&{MODULE}", "module-path stands in it twice"),
        ("object=a", "module-path=lib.so", "module-path is an absolute path"),
        ("object=a", "", "by which library"),
        ("object=a", "module-name=softhsm2", "by which library"),
        ("object=a", f"{MODULE}&pin-value=4711", "leave pin-value out"),
        ("object=a", f"{MODULE}&pin-source=/run/pin", "only file:/PATH is known here"),
        ("object=a", f"{MODULE}&pin-source=exec:/bin/pin", "only file:/PATH is known here"),
        ("object=a", f"{MODULE}&pin-source=file:pin", "pin-source is an absolute path"),
    ],
)
def test_what_is_refused_says_why_and_shows_no_pin(path: str, query: str, reason: str) -> None:
    with pytest.raises(KeyUriMalformed) as caught:
        read(path, query)
    assert reason in str(caught.value)
    assert caught.value.uri == shown_uri(f"pkcs11:{path}?{query}")
    wanted = "pkcs11:token=NAME;serial=DIGITS;object=KEY?module-path=/path/to/module.so"
    assert caught.value.form == (wanted if reason == "by which library" else "")
    assert "4711" not in f"{caught.value}{caught.value.details()}"


def test_a_library_in_front_of_the_question_mark_is_shown_in_its_place() -> None:
    with pytest.raises(KeyUriMalformed, match="module-path must follow the") as caught:
        read_pkcs11_uri("pkcs11:token=T;module-path=/lib/x.so;id=%02")
    assert caught.value.form == "pkcs11:token=T;id=%02?module-path=/lib/x.so"
    assert caught.value.uri == "pkcs11:token=T;module-path=/lib/x.so;id=%02"
    with pytest.raises(KeyUriMalformed, match=": module-path and pin-value must follow the ") as caught:
        read_pkcs11_uri("pkcs11:id=%02;module-path=/lib/x.so;pin-value=4711?pin-source=file:/x")
    assert caught.value.uri == "pkcs11:id=%02;module-path=/lib/x.so;pin-value=...?pin-source=file:/x"
    assert caught.value.form == "pkcs11:id=%02?module-path=/lib/x.so&pin-value=...&pin-source=file:/x"


def test_values_may_hold_what_stands_between_other_parts() -> None:
    uri = read("object=a=b;token=T:1", "module-path=/lib/a=b.so&pin-source=file:/run/a:b")
    assert (uri.object, uri.token, uri.module, uri.pin_file) == ("a=b", "T:1", "/lib/a=b.so", "/run/a:b")
    assert read_pkcs11_uri(uri.text) == uri
    with pytest.raises(KeyUriMalformed, match=": module-path must follow the ") as caught:
        read_pkcs11_uri("pkcs11:object=a;module-path=/lib/a=b.so")
    assert caught.value.form == "pkcs11:object=a?module-path=/lib/a=b.so"


def test_a_uri_that_leaves_all_open_describes_any_key_of_any_token() -> None:
    uri = read("")
    assert (uri.described_token, uri.described_key, uri.names_key) == ("any", "key", False)

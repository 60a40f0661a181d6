"""Keys that a token wraps: every case on real tokens of SoftHSM2, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from keys.errors import TokenKeyUnfit
from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.pkcs11.token_facts import TokenFacts
from tests.support.softhsm import SoftHsm


@pytest.fixture
def one(tmp_path: Path) -> SoftHsm:
    hsm = SoftHsm(tmp_path / "hsm")
    hsm.make("one")
    return hsm


@pytest.mark.parametrize(
    "case",
    [
        "keys_that_do_not_wrap",
        "many_keys",
        "other_wrapping_keys_and_other_public_keys",
        "threads_and_forks",
        "what_may_leave_the_token",
        "what_the_token_refuses",
        "wrong_pin",
    ],
)
def test_on_one_token(one: SoftHsm, case: str) -> None:
    one.run(case, module="wrapped_cases")


def test_on_a_token_that_comes_and_goes(one: SoftHsm) -> None:
    one.run("removed_in_the_middle", str(one.tokens), module="wrapped_cases")


def test_a_token_that_does_not_show_the_public_half_of_a_new_key_is_unfit() -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    from keys.pkcs11.wrapped_objects import make_wrapped

    destroyed = []

    class FakeKey:
        def __getitem__(self, _: object) -> bytes:
            return b"no point"

        def destroy(self) -> None:
            destroyed.append(self)

    class FakeSession:
        def create_domain_parameters(self, *_: object, **__: object) -> FakeSession:
            return self

        def generate_keypair(self, **_: object) -> tuple[FakeKey, FakeKey]:
            return FakeKey(), FakeKey()

    class FakeWrapping:
        def wrap_key(self, *_: object, **__: object) -> bytes:
            return b"wrapped"

    facts = TokenFacts(label="one", serial="1", manufacturer="", model="", flags=0)
    with pytest.raises(TokenKeyUnfit, match="does not show the public half") as caught:
        make_wrapped(cast("Any", FakeSession()), cast("Any", FakeWrapping()), facts)
    assert caught.value.token == facts.described
    assert len(destroyed) == 2, "and nothing is left on it"


def test_what_a_wrapping_key_may_do_is_not_left_to_what_a_token_does_by_itself() -> None:
    """SoftHSM makes secret keys that stay on it unless it is told otherwise; other tokens may not."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    from pkcs11 import Attribute, MechanismFlag

    from keys.pkcs11.wrapped_objects import make_wrapping_key

    told: list[dict[str, Any]] = []

    class FakeSession:
        def generate_key(self, *_: object, **wanted: Any) -> None:
            told.append(wanted)

    make_wrapping_key(cast("Any", FakeSession()), Pkcs11Uri(module="", object="name", id=b"id"))
    assert told == [
        {
            "id": b"id",
            "label": "name",
            "store": True,
            "capabilities": MechanismFlag.WRAP | MechanismFlag.UNWRAP,
            "template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        }
    ]

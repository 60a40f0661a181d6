"""Descriptors of containerd: plain ones are read in a short way, which takes nothing that strict reading refuses."""

from __future__ import annotations

import json

import pytest

from tests.simulator.scene import GOOD
from trustcli.errors import HookRequestMalformed
from trustcli.hooks.containerd_request import MAX_DESCRIPTOR, check_descriptor

DIGEST = f"sha256:{GOOD}"
PLAIN = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": DIGEST, "size": 418}


def text(**members: object) -> str:
    return json.dumps({**PLAIN, **members})


@pytest.mark.parametrize(
    "raw",
    [
        text(),
        f" {text()}\n",
        text(artifactType="a/b"),
        text(annotations={"a": "b", "c": "\u00e9"}, urls=["https://example.com"]),
        text(data="x" * 10_000),
    ],
)
def test_a_descriptor_of_the_content_is_taken(raw: str) -> None:
    check_descriptor(raw.encode(), DIGEST)
    with pytest.raises(HookRequestMalformed, match="-digest says"):
        check_descriptor(raw.encode(), f"sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "holds no descriptor"),
        ("[]", "must be an object"),
        ("7", "must be an object"),
        ('"text"', "must be an object"),
        ("{", "is no descriptor"),
        ("[" * 1000, "is no descriptor"),
        (text()[:-1] + ', "size": 418}', "occurs twice"),
        (text()[:-1] + f', "digest": "{DIGEST}"}}', "occurs twice"),
        (text()[:-1] + ', "a": {"b": 1, "b": 1}}', "occurs twice"),
        (text(size=True), "size must be a number"),
        (text(size=-1), "size must be a number"),
        (text(size="418"), "size must be a number"),
        (text(size=2**53), "not an integer below"),
        (text(size=418.0), "not an integer"),
        (text(size=float("nan")), "is not JSON"),
        (text(more="\ud800"), "lone surrogate"),
        (text(**{"\ud800": 1}), "lone surrogate"),
        (text(mediaType=""), "mediaType must be a text"),
        (text(mediaType=None), "mediaType must be a text"),
        ("\ufeff" + text(), "is no descriptor"),
        ("x" * (MAX_DESCRIPTOR + 1), "more than"),
        (text(a=[0] * 20_000), "values"),
    ],
)
def test_what_is_none_is_refused(raw: str, words: str) -> None:
    with pytest.raises(HookRequestMalformed, match=words):
        check_descriptor(raw.encode("utf-8", "surrogatepass"), DIGEST)


def test_other_encodings_are_refused() -> None:
    for encoding in ("utf-16", "utf-32-le", "latin-1"):
        with pytest.raises(HookRequestMalformed, match="is no descriptor"):
            check_descriptor(text(more="\u00e9").replace("\\u00e9", "\u00e9").encode(encoding), DIGEST)

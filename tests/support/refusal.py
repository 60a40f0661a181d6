"""What a refusal says: its class, and every field that programs may act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trustdata.errors import TrustError


@contextmanager
def refused(kind: type[TrustError], text: str = "", /, **fields: object) -> Iterator[None]:
    """Demand this very class, `text` in its sentence, and exactly these fields; of `reason` the text is enough."""
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert {name: value for name, value in caught.value.details().items() if name != "reason"} == fields

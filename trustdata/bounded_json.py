"""Parse the JSON of whoever answers: of an API, a registry, a token server, a container engine or a helper program.

Nothing of it is signed, so it decides only what is shown or tried next, and need not be read strictly. Metadata files
are read by `strict_json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from trustdata.json_bounds import count_values
from trustdata.limits import MAX_ANSWER_VALUES, MAX_DEPTH

_Pairs = list[tuple[str, Any]]


def loads(
    raw: bytes,
    *,
    values: int = MAX_ANSWER_VALUES,
    depth: int = MAX_DEPTH,
    encoding: str = "utf-8-sig",
    pairs: Callable[[_Pairs], Any] | None = None,
) -> Any:
    """Parse a document whose values and nesting are counted first, as `json_bounds` counts them.

    `values`: the highest number of values. `depth`: the highest number of levels. `encoding`: UTF-8, by default with
    or without a byte order mark; other encodings are refused, in which the bytes of a quote may be those of another
    character. `pairs`: makes an object.
    Raises: ValueError, for whatever is wrong.
    """
    count_values(raw, most=values, depth=depth)
    return json.loads(raw.decode(encoding), object_pairs_hook=pairs)

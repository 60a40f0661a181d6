"""`trust-server serve` that may open 256 files, as where an operator has set `ulimit -n 256`."""

from __future__ import annotations

import resource
from typing import Final

from trustserver.__main__ import main

FILES: Final = 256

resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
main()

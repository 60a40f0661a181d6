"""How the outside is reached in one invocation: the values that every connection is made with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trustcli.http.time_budget import Clock, Timeouts

if TYPE_CHECKING:
    from trustcli.http.record import Observer
    from trustcli.http.tls import CertificateAuthorities


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """`environ`: for the proxy variables. `clock`: monotonic seconds. `observer`: told of every exchange, or None."""

    authorities: CertificateAuthorities
    environ: Mapping[str, str]
    clock: Clock = time.monotonic
    timeouts: Timeouts = field(default_factory=Timeouts)
    observer: Observer | None = None

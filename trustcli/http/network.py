"""Hold the values with which every connection of one run is made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trustcli.http.time_budget import Clock, Timeouts

if TYPE_CHECKING:
    from trustcli.http.patience import Patience
    from trustcli.http.record import Observer
    from trustcli.http.tls import CertificateAuthorities


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How servers are reached from here.

    `environ`: holds the proxy variables. `clock`: monotonic seconds. `observer`: is told of every exchange.
    `patience`: waits for busy servers; None waits for nobody.
    """

    authorities: CertificateAuthorities
    environ: Mapping[str, str]
    clock: Clock = time.monotonic
    timeouts: Timeouts = field(default_factory=Timeouts)
    observer: Observer | None = None
    patience: Patience | None = None

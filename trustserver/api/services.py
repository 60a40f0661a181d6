"""The parts of the server that both publishing APIs use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trustserver.api.gun_path import Scope
from trustserver.api.metrics import Metrics
from trustserver.api.publish_requests import PublishRequests
from trustserver.auth.authorizer import Authorizer
from trustserver.repository.online_roles import OnlineRoles
from trustserver.repository.publish import Publishing
from trustserver.storage.ports import MetadataStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of the server that both publishing APIs use, as one value.

    `clock`: the current time in UTC. `address_of`: the address that a request is from; None if it is not known.
    """

    store: MetadataStore
    publishing: Publishing
    requests: PublishRequests
    online: OnlineRoles
    authorizer: Authorizer
    metrics: Metrics
    clock: Callable[[], datetime]
    address_of: Callable[[Scope], str | None]

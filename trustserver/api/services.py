"""The parts of the server that both publishing APIs use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trustserver.api.metrics import Metrics
from trustserver.api.publish_requests import PublishRequests
from trustserver.auth.authorizer import Authorizer
from trustserver.repository.online_roles import OnlineRoles
from trustserver.repository.publish import Publishing
from trustserver.storage.ports import MetadataStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of the server that both publishing APIs use, as one value. `clock`: the current time in UTC."""

    store: MetadataStore
    publishing: Publishing
    requests: PublishRequests
    online: OnlineRoles
    authorizer: Authorizer
    metrics: Metrics
    clock: Callable[[], datetime]

"""Errors of services that hold keys.

KeyServiceError                 a service that holds a key did not do what was asked of it
├── KeyServiceDeclined          it refused, in its own words
│   └── KeyServiceDenied        it does not let this caller use the key, or does not know who that is
├── KeyServiceThrottled         it takes no more requests for now, also after several tries
├── KeyServiceUnreachable       it cannot be reached, or is out of order
├── KeyServiceLate              it did not answer in time
├── KeyServiceAnswerWrong       what it answered is no answer to what was asked
├── KeyServiceNoCredentials     nothing here says who one is there
├── KeyServiceKeyDisabled       the key is there, and is not to be used
└── KeyServiceKeyUnfit          the key is of a kind that cannot sign here
KeyNotInService                 (a KeyNotFound) the service has no such key
"""

from __future__ import annotations

from typing import ClassVar

from keys.errors import KeyNotFound, KeysError

_SHOWN = 300


class KeyServiceError(KeysError):
    """A service that holds a key did not do what was asked of it. `service`: which; `key`: its name there."""

    code: ClassVar[str] = "key-service-error"
    again: ClassVar[bool] = False
    """Whether the same request may do better in a moment."""
    service: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.service}, key {self.key}: {self.reason}"


class KeyServiceDeclined(KeyServiceError):
    """The service refused. `reason`: in its own words."""

    code: ClassVar[str] = "key-service-declined"


class KeyServiceDenied(KeyServiceDeclined):
    """The service does not let this caller use the key, or does not know who that is."""

    code: ClassVar[str] = "key-service-denied"


class KeyServiceThrottled(KeyServiceError):
    """The service takes no more requests for now, also after several tries."""

    code: ClassVar[str] = "key-service-throttled"
    again: ClassVar[bool] = True


class KeyServiceUnreachable(KeyServiceError):
    """The service cannot be reached, or is out of order."""

    code: ClassVar[str] = "key-service-unreachable"
    again: ClassVar[bool] = True


class KeyServiceLate(KeyServiceError):
    """The service did not answer in time. It may have signed all the same."""

    code: ClassVar[str] = "key-service-late"


class KeyServiceAnswerWrong(KeyServiceError):
    """What the service answered is no answer to what was asked."""

    code: ClassVar[str] = "key-service-answer-wrong"


class KeyServiceNoCredentials(KeyServiceError):
    """Nothing on this machine says who one is at the service, or what says it cannot be used."""

    code: ClassVar[str] = "key-service-no-credentials"


class KeyServiceKeyDisabled(KeyServiceError):
    """The key is there, and is not to be used: disabled, expired, or about to be deleted."""

    code: ClassVar[str] = "key-service-key-disabled"


class KeyServiceKeyUnfit(KeyServiceError):
    """The key is of a kind, or is there for a use, with which it cannot sign here."""

    code: ClassVar[str] = "key-service-key-unfit"


class KeyNotInService(KeyNotFound):
    """The service has no such key, or none of this version."""

    code: ClassVar[str] = "key-not-in-service"
    service: str

    def __str__(self) -> str:
        return f"{self.service} has no key {self.key}"


def said(words: object) -> str:
    """Return what a service or a library said, for messages: in one line, without control characters, not too long."""
    text = ascii(" ".join(str(words).split()))[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

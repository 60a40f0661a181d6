"""What a token says of itself before anybody logs in: which it is, and how its PIN stands."""

from __future__ import annotations

from typing import Final, Protocol

from keys.pkcs11.pkcs11_uri import Pkcs11Uri
from keys.record import record

LOGIN_REQUIRED: Final = 0x4
PIN_SET: Final = 0x8
PIN_PAD: Final = 0x100
PIN_COUNT_LOW: Final = 0x10000
PIN_FINAL_TRY: Final = 0x20000
PIN_LOCKED: Final = 0x40000


class TokenLike(Protocol):
    """A token, as python-pkcs11 gives it."""

    @property
    def label(self) -> str:
        """Its name, which need not be unique."""

    @property
    def serial(self) -> bytes:
        """Its serial number."""

    @property
    def manufacturer_id(self) -> str:
        """Its maker."""

    @property
    def model(self) -> str:
        """Its model."""

    @property
    def flags(self) -> int:
        """Flags of CK_TOKEN_INFO, as they were when the token was looked up."""


@record
class TokenFacts:
    """Label, serial number, maker, model and flags of a token."""

    label: str
    serial: str
    manufacturer: str
    model: str
    flags: int

    @classmethod
    def of(cls, token: TokenLike) -> TokenFacts:
        """Return what a token says of itself."""
        return cls(
            label=token.label,
            serial=token.serial.decode(errors="replace"),
            manufacturer=token.manufacturer_id,
            model=token.model,
            flags=int(token.flags),
        )

    def has(self, flag: int) -> bool:
        """Return whether the token has the flag."""
        return bool(self.flags & flag)

    def fits(self, uri: Pkcs11Uri) -> bool:
        """Return whether the URI may mean this token."""
        wanted = {"label": uri.token, "serial": uri.serial, "manufacturer": uri.manufacturer, "model": uri.model}
        return all(value is None or getattr(self, name) == value for name, value in wanted.items())

    @property
    def described(self) -> str:
        """The token in messages."""
        return f"token {ascii(self.label)[1:-1]} (serial {ascii(self.serial)[1:-1]})"

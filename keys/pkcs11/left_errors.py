"""What a PKCS#11 library leaves behind in OpenSSL, which it and Python's TLS share where both are of the system.

SoftHSM asks OpenSSL for what need not be there, and does not look at the answer. It stays in the thread's queue of
errors, and the next TLS call of this thread would take it for its own: a trust server that is well "cannot be reached".
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def forget_openssl_errors() -> None:
    """Empty this thread's queue of errors in the OpenSSL that Python's TLS uses, if Python has TLS."""
    # AttributeError: its OpenSSL is its own, whose functions nobody else finds; then a token's library has another one.
    with suppress(ImportError, AttributeError):
        import _ssl

        ctypes.CDLL(getattr(_ssl, "__file__", None)).ERR_clear_error()

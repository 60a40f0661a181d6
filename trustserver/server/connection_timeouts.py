"""How long a connection may wait for its client, and what a client must take of an answer meanwhile (ADR 0051).

How long it may take until the first request is a setting (`head_seconds`); how many connections there may be is in
`connection_limits.py`.
"""

from __future__ import annotations

from typing import Final

HEADER_SECONDS: Final = 30.0
"""How long a client may take to send the headers of a request to the server behind, and how long its connection there
may be idle before the next one: granian knows one limit for both. It must be long enough for a user to type a
passphrase between two requests."""
IDLE_SECONDS: Final = 30.0
"""How long a connection may be idle that the front answers itself, and how long a client may take less than LEAST_BYTES
at a time of an answer. Long enough for a user to type a passphrase, as above."""
IDLE_SWEEPS: Final = 3
"""At how many looks in a row a client must have been idle, in IDLE_SECONDS, before its connection is ended; a tunnel is
ended only for a client that reads nothing."""
LEAST_BYTES: Final = 10_240
"""What a client must at least take of an answer between two looks: with ten seconds between, 1 KiB each second."""
UNREAD_SECONDS: Final = 30.0
"""How long a client may fail to receive data before the kernel ends the connection (tcp(7), TCP_USER_TIMEOUT).
With TLS nothing else ends it: granian waits without limit, and holds some megabytes for each such connection."""
EXPIRY_SECONDS: Final = 0.5
"""Time between two looks for connections whose client has not asked its first request in time."""

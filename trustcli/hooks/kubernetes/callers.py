"""Who may post reviews: whoever shows a certificate that one of the operator's authorities has issued (ADR 0093)."""

from __future__ import annotations

from collections.abc import Callable

from trustcli.hooks.serving.messages import Request, Response, plain


class Callers:
    """Judges at each request whether who sends it may post reviews. Safe for threads.

    `authorities`: what certificates are verified by now, as `ShownCertificate` has it. `now`: seconds since 1970.
    """

    def __init__(self, authorities: Callable[[], bytes], *, now: Callable[[], float]) -> None:
        self._authorities = authorities
        self._now = now

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a client that may not; None if it may.

        A connection lives long: what was verified at its beginning may have run out, or its issuer may have been taken
        away. An API server that is sent away with 503 and `Retry-After` connects anew, and shows what it has now.
        """
        shown = request.certificate
        if shown is None:
            return plain(
                403, "reviews are taken only from clients that show a certificate of --tls-client-ca", close=True
            )
        if shown.authorities != self._authorities() or shown.expires <= self._now():
            return plain(503, "the certificate must be shown anew; connect again", (b"retry-after", b"1"), close=True)
        return None

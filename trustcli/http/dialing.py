"""Open connections to one origin: directly or through a proxy, with TLS where its URL says so."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from keys.record import record
from trustcli.errors import RemoteMisbehaved
from trustcli.http.answer_head import FinalResponse
from trustcli.http.errors import proxy_refused
from trustcli.http.messages import Origin, is_success
from trustcli.http.network import Network
from trustcli.http.proxies import Proxy, is_loopback, proxy_for
from trustcli.http.time_budget import BudgetedSocket, ExchangeBudget

if TYPE_CHECKING:
    import ssl

USER_AGENT = "content-trust"


@record
class Dialled:
    """A connected socket. `certificate`: the server's (DER), with TLS. `own`, `peer`: addresses; empty for a proxy."""

    sock: socket.socket
    certificate: bytes | None = None
    own: str = ""
    peer: str = ""

    @property
    def from_here(self) -> bool:
        """Whether the other end is this machine; False if nobody can tell, as through a proxy."""
        # The ends differ in 127.0.0.0/8: from 127.0.0.1 to 127.0.1.1, where Debian has the machine's own name.
        return self.peer != "" and (self.peer == self.own or is_loopback(self.peer.removeprefix("::ffff:")))

    def check_address(self, origin: Origin, named_by: Origin | None) -> None:
        """Refuse an address of this machine if a server elsewhere has sent us there. Raises: RemoteMisbehaved."""
        _check_address(self.peer, self.own, origin, named_by)


class Dialer:
    """Opens connections to an origin. The settings of TLS are made once, for the first; safe for threads."""

    def __init__(self, origin: Origin, network: Network, *, show_certificate: bool = True) -> None:
        """Connect to nothing yet. `show_certificate`: whether a client certificate of this machine is shown.

        Raises: SettingsUnusable (for a proxy).
        """
        self.origin = origin
        self.proxy: Proxy | None = proxy_for(origin.scheme, origin.host, origin.port, network.environ)
        self._network = network
        self._show_certificate = show_certificate
        self._context: ssl.SSLContext | None = None

    def dial(self, seconds: float, budget: ExchangeBudget, named_by: Origin | None) -> Dialled:
        """Return a connected socket, its handshake done. `seconds`: to connect. `named_by`: as in `JudgingTransport`.

        Raises: OSError, RemoteMisbehaved, ProxyRefused, SettingsUnusable.
        """
        secure = self.origin.scheme == "https"
        if secure and self._context is None:
            self._context = self._network.authorities.context_for(self.origin, show=self._show_certificate)
        own = peer = ""
        if self.proxy:
            sock = socket.create_connection((self.proxy.host, self.proxy.port), timeout=seconds)
        else:
            sock = self._connect(seconds, named_by)
        try:
            if not self.proxy:
                own, peer = sock.getsockname()[0], sock.getpeername()[0]
                _check_address(peer, own, self.origin, named_by)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not secure or self._context is None:
                return Dialled(sock=sock, own=own, peer=peer)
            if self.proxy:
                self._ask_for_tunnel(sock, self.proxy, budget)
            sock.settimeout(min(seconds, budget.next_step()))  # of the whole handshake
            protected = self._context.wrap_socket(sock, server_hostname=self.origin.host)
        except BaseException:
            sock.close()
            raise
        certificate = protected.getpeercert(binary_form=True)
        return Dialled(sock=protected, certificate=certificate, own=own, peer=peer)

    def _connect(self, seconds: float, named_by: Origin | None) -> socket.socket:
        """Return a connected socket. Where a server elsewhere has named the place, judge each address before."""
        host, port = self.origin.host, self.origin.port
        if named_by is None:
            return socket.create_connection((host, port), timeout=seconds)
        found = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        for address in found:
            _check_address(address, "", self.origin, named_by)
        failure: OSError | None = None
        for address in found:
            try:
                return socket.create_connection((address, port), timeout=seconds)
            except OSError as error:
                failure = error
        raise failure or OSError("the name has no address")

    def _ask_for_tunnel(self, sock: socket.socket, proxy: Proxy, budget: ExchangeBudget) -> None:
        connection = HTTPConnection(proxy.host, proxy.port)
        connection.sock = guarded = BudgetedSocket(sock, budget)
        place = self.origin.host_port  # with the brackets of IPv6, which http.client's own tunnel leaves out
        headers = {"Host": place, "User-Agent": USER_AGENT, **proxy_authorization(proxy)}
        connection.request("CONNECT", place, headers=headers)
        # Not connection.getresponse(): it takes an answer without a length for the last one, and closes.
        response = FinalResponse(guarded, method="CONNECT")  # type: ignore[arg-type]
        try:
            response.begin()
        finally:
            response.close()
        if not is_success(response.status):
            raise proxy_refused(self.origin, proxy, response.status)


def proxy_authorization(proxy: Proxy) -> dict[str, str]:
    """Return the header with which a proxy is told who asks; none if it does not want to know."""
    return {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}


def _check_address(peer: str, own: str, origin: Origin, named_by: Origin | None) -> None:
    if named_by is None or not peer:
        return
    from trustcli.http.this_machine import is_this_machine  # only where a server sends us elsewhere

    if is_this_machine(peer) or peer == own:
        reason = f"it sends us to {origin}, which is {peer}, on this machine"
        raise RemoteMisbehaved(remote=str(named_by), reason=reason)

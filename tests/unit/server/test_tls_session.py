"""Records of TLS: what carries little or nothing has a limit, and a few are decrypted at one time."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.attackers.tls_records import ClientRecords, logged_records, logging_context
from tests.support.certificates import Authority, make_authority
from trustserver.process.kernel_clock import now
from trustserver.process.self_signed import self_signed_files
from trustserver.process.tls import ServedCertificate, TlsFiles
from trustserver.server.tls_session import (
    BYTES_OF_AN_EMPTY,
    MAX_EMPTY,
    MAX_RECORDS,
    RECORDS_AT_ONCE,
    TlsSession,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return self_signed_files(tmp_path_factory.mktemp("tls") / "tls", host="a", at=now())


class Client:
    """A client in this process, and the server's session that it has shaken hands with."""

    def __init__(self, files: TlsFiles, log: Path) -> None:
        self.session = TlsSession(ServedCertificate(files).context)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = logging_context(files.ca, log)
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        while not self.session.is_open:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.session.receive(self._outgoing.read())
            self._incoming.write(self.session.to_send())
        self.records: ClientRecords = logged_records(log)

    def sent(self) -> bytes:
        """What OpenSSL has made of what the client has written."""
        return self._outgoing.read()


@pytest.fixture
def client(files: TlsFiles, tmp_path: Path) -> Client:
    return Client(files, tmp_path / "secrets")


def test_a_client_may_have_a_few_new_keys(client: Client) -> None:
    for _ in range(MAX_EMPTY):
        assert client.session.receive(client.records.key_update()) == b""
    assert client.session.receive(client.records.data(b"GET /")) == b"GET /"


def test_a_flood_of_new_keys_ends_the_connection_after_few(client: Client) -> None:
    """Each takes as much time as a hot read, is announced by 27 bytes, and OpenSSL takes any number at once."""
    flood = [client.records.key_update() for _ in range(MAX_EMPTY + 2)]
    assert client.session.receive(b"".join(flood[:MAX_EMPTY])) == b""
    with pytest.raises(ssl.SSLError, match="too many records"):
        client.session.receive(b"".join(flood[MAX_EMPTY:]))


def test_one_byte_between_new_keys_does_not_help(client: Client) -> None:
    for _ in range(MAX_EMPTY):
        client.session.receive(client.records.key_update() + client.records.data(b"x"))
    with pytest.raises(ssl.SSLError, match="too many records"):
        client.session.receive(client.records.key_update())


def test_who_sends_much_may_have_more_new_keys(client: Client) -> None:
    piece = b"x" * 16_384
    for _ in range(BYTES_OF_AN_EMPTY // len(piece)):
        assert client.session.receive(client.records.data(piece)) == piece
    for _ in range(MAX_EMPTY + 1):
        client.session.receive(client.records.key_update())
    with pytest.raises(ssl.SSLError, match="too many records"):
        client.session.receive(client.records.key_update())


def test_few_records_are_decrypted_at_one_time_and_none_is_lost(client: Client) -> None:
    sent = b"".join(client.records.data(bytes([number])) for number in range(200))
    got = [client.session.receive(sent)]
    while client.session.is_behind:
        got.append(client.session.receive(b""))
    assert [len(each) for each in got] == [RECORDS_AT_ONCE] * 3 + [200 - 3 * RECORDS_AT_ONCE]
    assert b"".join(got) == bytes(range(200))


def test_a_record_may_come_in_pieces(client: Client) -> None:
    record = client.records.data(b"hello")
    assert [client.session.receive(record[at : at + 1]) for at in range(len(record))][-2:] == [b"", b"hello"]


def test_records_of_single_bytes_have_a_limit(client: Client) -> None:
    taken = _taken(client.session, (client.records.data(b"x") for _ in range(2 * MAX_RECORDS)))
    assert MAX_RECORDS <= taken <= MAX_RECORDS * 16 // 15


def _taken(session: TlsSession, sent: Iterable[bytes]) -> int:
    """How many of these pieces a session takes before it refuses."""
    taken = 0
    with contextlib.suppress(ssl.SSLError):
        for each in sent:
            session.receive(each)
            taken += 1
    return taken


def test_what_follows_the_end_is_not_kept(client: Client) -> None:
    """A client that has closed its side, and has an answer coming, could fill the memory."""
    client.tls.write(b"GET /")
    with contextlib.suppress(ssl.SSLError):
        client.tls.unwrap()
    assert client.session.receive(client.sent()) == b"GET /"
    assert client.session.has_ended
    for _ in range(10):
        assert client.session.receive(b"\x17" * 65_536) == b""
    assert client.session._incoming.pending == 0
    assert client.session._waiting == b""
    assert not client.session.is_behind


def test_a_hello_in_crumbs_is_refused(files: TlsFiles) -> None:
    hello = b"\x01\x01\xff\xff" + b"\x00" * 2 * MAX_RECORDS
    crumbs = (b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in hello)
    assert _taken(TlsSession(ServedCertificate(files).context), crumbs) <= MAX_RECORDS


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"G", b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01"])
def test_what_is_no_tls_is_not_waited_for(files: TlsFiles, said: bytes) -> None:
    session = TlsSession(ServedCertificate(files).context)
    with contextlib.suppress(ssl.SSLError):
        session.receive(said)
    assert session._waiting == b""


# --- client certificates


def shake_hands(
    files: TlsFiles, authority: Authority, shown: tuple[Path, Path] | None, version: ssl.TLSVersion
) -> tuple[TlsSession, ssl.SSLObject]:
    """The server's session and the client's. Raises: ssl.SSLError of the server, and of the client what that told."""
    served = ServedCertificate(files)
    served.ask_clients(authority.file.read_text())
    session = TlsSession(served.context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(files.ca))
    context.minimum_version = context.maximum_version = version
    if shown is not None:
        context.load_cert_chain(*shown)
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while not session.is_open:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        try:
            session.receive(outgoing.read())
        except ssl.SSLError:
            incoming.write(session.to_send())
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                client.read(1)
            raise
        incoming.write(session.to_send())
    return session, client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_asked_for_a_certificate_and_needs_none(
    files: TlsFiles, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    authority = make_authority(tmp_path)
    shown = authority.client_certificate(tmp_path)
    session, _ = shake_hands(files, authority, shown, version)
    assert session.certificate == ssl.PEM_cert_to_DER_cert(shown[0].read_text())
    assert shake_hands(files, authority, None, version)[0].certificate is None
    stranger = make_authority(tmp_path, "Other CA").client_certificate(tmp_path, "stranger")
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):  # what the client was told
        shake_hands(files, authority, stranger, version)

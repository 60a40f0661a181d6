"""Which requests the front of plain HTTP answers itself: one closed grammar."""

from __future__ import annotations

import pytest

from trustserver.server.fast_path import LONGEST_REQUEST, hot_request

PATH = b"/tuf/registry.example.com/app/metadata/timestamp.json"
HOT = b"GET " + PATH + b" HTTP/1.1\r\nHost: trust.example.com\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: a",
        b"host:a",
        b"User-Agent: host: x\r\nHost: a",
        b"HOST:  a:4443 ",
        b"Host: a\r\nUser-Agent: trust/1 (x)\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nConnection: Keep-Alive",
        b"Host: a\r\nConnection: close",
        b"Accept-Language: de\r\nCache-Control: no-cache\r\nPragma: no-cache\r\nHost: [::1]:4443",
    ],
)
def test_plain_gets_are_hot(headers: bytes) -> None:
    found = hot_request(b"GET " + PATH + b" HTTP/1.1\r\n" + headers + b"\r\n\r\n")
    assert found is not None
    assert found[0] == PATH


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        HOT[:-1],
        HOT[:-2],
        HOT + b"x",
        HOT + HOT,
        b"\r\n" + HOT,
        HOT.replace(b"GET", b"HEAD"),
        HOT.replace(b"GET", b"get"),
        HOT.replace(b"GET ", b"GET  "),
        HOT.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HOT.replace(b"HTTP/1.1", b"http/1.1"),
        HOT.replace(b"/tuf", b"http://trust.example.com/tuf"),
        HOT.replace(b"app", b"a\x00pp"),
        HOT.replace(b"app", b"\xc3\xa4"),
        HOT.replace(b"\r\n", b"\n"),
        HOT.replace(b"Host", b"X-Host"),
        HOT.replace(b"Host:", b"Host :"),
        HOT.replace(b"Host: ", b"Host:\r\n "),
        HOT.replace(b"trust.", b"trust\n."),
        HOT.replace(b"trust.", b"trust\r."),
        HOT.replace(b"trust.", b"trust\x00."),
        b"GET " + PATH + b" HTTP/1.1\r\n\r\n",
        *(
            HOT[:-2] + header + b"\r\n\r\n"
            for header in (
                b"Host: another.example.com",
                b"If-None-Match: *",
                b'If-None-Match: W/"' + b"ab" * 32 + b'"',
                b'If-None-Match: "' + b"AB" * 32 + b'"',
                b'If-None-Match: "' + b"ab" * 32 + b'", "x"',
                b'If-None-Match: "' + b"ab" * 32 + b'"\r\nIf-None-Match: "' + b"ab" * 32 + b'"',
                b"If-Modified-Since: now",
                b"Range: bytes=0-1",
                b"Content-Length: 0",
                b"Transfer-Encoding: chunked",
                b"Connection: keep-alive, close",
                b"Upgrade: h2c",
                b"Expect: 100-continue",
                b"Origin: https://evil.example.com",
                b"Authorization: Basic eDp5",
                b"Cookie: a=b",
                b"Accept: " + b"x" * LONGEST_REQUEST,
            )
        ),
    ],
)
def test_everything_else_is_not(request_: bytes) -> None:
    assert hot_request(request_) is None

from __future__ import annotations

import base64

import pytest

from trustcli.errors import SettingsUnusable
from trustcli.http.proxies import is_loopback, proxy_for

PROXY = "http://proxy.example:3128"


def used(scheme: str = "https", host: str = "registry.example.com", port: int = 443, **environ: str) -> str | None:
    found = proxy_for(scheme, host, port, environ)
    return f"{found.host}:{found.port}" if found else None


def test_each_scheme_has_its_variable() -> None:
    assert used(HTTPS_PROXY=PROXY) == "proxy.example:3128"
    assert used(https_proxy="http://lower:1", HTTPS_PROXY=PROXY) == "lower:1"
    assert used(HTTP_PROXY=PROXY) is None
    assert used("http", HTTP_PROXY=PROXY) == "proxy.example:3128"
    assert used(ALL_PROXY="proxy.example") == "proxy.example:80"
    assert used() is None
    assert used(HTTPS_PROXY=" ") is None


def test_a_request_header_of_a_cgi_program_is_no_proxy() -> None:
    assert used("http", HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None
    assert used("http", http_proxy=PROXY, REQUEST_METHOD="GET") == "proxy.example:3128"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("*", True),
        ("registry.example.com", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("other, REGISTRY.example.com.", True),
        ("registry.example.com:443", True),
        ("registry.example.com:5000", False),
        ("ample.com", False),
        ("xregistry.example.com", False),
        ("10.0.0.0/8", False),
        (",,", False),
    ],
)
def test_no_proxy(no_proxy: str, *, direct: bool) -> None:
    assert (used(HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) is None) is direct


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("2001:db8::5", "2001:db8::/32", True),
        ("2001:db8::5", "[2001:db8::5]:443", True),
        ("2001:db8::5", "2001:db8::5", True),
        ("10.1.2.3", "10.0.0.0/99", False),
    ],
)
def test_no_proxy_by_address(host: str, no_proxy: str, *, direct: bool) -> None:
    assert (used(host=host, HTTPS_PROXY=PROXY, no_proxy=no_proxy) is None) is direct


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_goes_direct(host: str) -> None:
    assert is_loopback(host)
    assert used(host=host, HTTPS_PROXY=PROXY) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example.com", "128.0.0.1", "localhost.example.com", "127.1", "127.0.0.256", "app.localhost"]
)
def test_what_only_looks_like_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("value", ["https://p:1", "socks5://p:1", "http://", "http://p:99999", "http://["])
def test_proxies_that_cannot_be_used(value: str) -> None:
    with pytest.raises(SettingsUnusable, match="HTTPS_PROXY"):
        used(HTTPS_PROXY=value)


@pytest.mark.parametrize("secret", ["12#34", "p#ss", "pa/ss", "12?34", "a[b", "u:1#2@3"])
def test_a_password_that_ends_the_host_goes_nowhere(secret: str) -> None:
    with pytest.raises(SettingsUnusable, match="%23") as caught:
        used(HTTPS_PROXY=f"http://user:{secret}@proxy.example:3128")
    assert secret not in str(caught.value)
    assert "user:" not in str(caught.value)
    with pytest.raises(SettingsUnusable, match="is not the URL"):
        used(HTTPS_PROXY="http://user:x@[::1]:99999")


@pytest.mark.parametrize("quoted", ['"http://p:1"', "'http://p:1'", '"p:1"'])
def test_quotation_marks_are_named(quoted: str) -> None:
    with pytest.raises(SettingsUnusable, match="quotation mark"):
        used(HTTPS_PROXY=quoted)


@pytest.mark.parametrize(
    ("written", "sent"),
    [("p%40ss", b"p@ss"), ("p%C3%A4ss", "päss".encode()), ("p%E4ss", b"p\xe4ss"), ("p\udce4ss", b"p\xe4ss")],
)
def test_the_bytes_of_the_password_are_sent_whatever_their_encoding(written: str, sent: bytes) -> None:
    """Percent-encoded, and as the environment has bytes that are not UTF-8."""
    environ = {"HTTPS_PROXY": f"http://user:{written}@proxy.example.com"}
    found = proxy_for("https", "r.example.com", 443, environ)
    assert found is not None
    assert base64.b64decode(found.authorization.removeprefix("Basic ")) == b"user:" + sent


def test_the_password_is_not_shown() -> None:
    found = proxy_for("https", "r.example", 443, {"HTTPS_PROXY": "http://user:hunter2@p:1"})
    assert found is not None
    assert found.authorization == "Basic dXNlcjpodW50ZXIy"
    assert "Basic" not in repr(found)
    with pytest.raises(SettingsUnusable) as caught:
        used(HTTPS_PROXY="https://user:hunter2@p:1")
    assert "hunter2" not in str(caught.value)

"""Settings: where each value may come from, which wins, and what is refused."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from trustserver.errors import StartRefused
from trustserver.settings import SETTING_NAMES, GivenSettings, Listen, Settings, UnixSocket, load
from trustserver.settings_check import check_for_serving

GIVEN = {
    "listen": "127.0.0.1:9",
    "data": "/d",
    "database": "sqlite:////d/x.db",
    "seal_key": "/k",
    "next_seal_key": "next.key",
    "online_keys": "sealed",
    "platform_secrets": "true",
    "witness": "/w",
    "tls_cert": "/c",
    "tls_key": "/t",
    "tls_client_ca": "/u",
    "tls_client_crl": "/v",
    "certificate_header": "X-Client-Certificate",
    "proxy_secret": "/p",
    "proxy_certificate": "CN=edge",
    "self_signed": "true",
    "workers": "1",
    "insecure_open": "1",
    "access": "/a.toml",
    "auth_token_realm": "https://auth.example.com/token",
    "auth_token_service": "trust.example.com",
    "auth_token_issuer": "auth.example.com",
    "auth_token_cert": "/a.pem",
    "auth_token_jwks": "/a.json",
    "auth_anonymous_pull": "yes",
    "trusted_proxy": "10.0.0.7, 2001:db8::/32",
    "connections": "9",
    "connections_per_address": "3",
    "head_seconds": "2",
    "upload_seconds": "5",
    "upload_rate": "6",
    "publishes_per_collection": "91",
    "publishes_per_user": "90",
    "resign_seconds": "73",
    "keep_seconds": "72",
    "keep_events": "69",
    "named_expiries": "68",
    "webhooks": "/h.toml",
    "max_collections": "71",
    "subject_collections": "70",
    "view_bytes": "7",
    "log_level": "debug",
}
MEANT = Settings(
    listen=Listen(host="127.0.0.1", port=9),
    data=Path("/d"),
    database="sqlite:////d/x.db",
    seal_key=Path("/k"),
    next_seal_key=Path("next.key"),
    online_keys=("sealed",),
    platform_secrets=True,
    witness=Path("/w"),
    tls_cert=Path("/c"),
    tls_key=Path("/t"),
    tls_client_ca=Path("/u"),
    tls_client_crl=Path("/v"),
    certificate_header="X-Client-Certificate",
    proxy_secret=Path("/p"),
    proxy_certificate="CN=edge",
    self_signed=True,
    workers=1,
    insecure_open=True,
    access=Path("/a.toml"),
    auth_token_realm="https://auth.example.com/token",
    auth_token_service="trust.example.com",
    auth_token_issuer="auth.example.com",
    auth_token_cert=Path("/a.pem"),
    auth_token_jwks=Path("/a.json"),
    auth_anonymous_pull=True,
    trusted_proxy=(ip_network("10.0.0.7"), ip_network("2001:db8::/32")),
    connections=9,
    connections_per_address=3,
    head_seconds=2,
    upload_seconds=5,
    upload_rate=6,
    publishes_per_collection=91,
    publishes_per_user=90,
    resign_seconds=73,
    keep_seconds=72,
    keep_events=69,
    named_expiries=68,
    webhooks=Path("/h.toml"),
    max_collections=71,
    subject_collections=70,
    view_bytes=7,
    log_level="debug",
)


def test_the_defaults() -> None:
    settings = load({}, {}).settings
    assert str(settings.listen) == "127.0.0.1:4443"
    assert settings.database_url == "sqlite:///trust-server-data/trust.db"
    assert settings.seal_file == Path("trust-server-data/seal.key")
    check_for_serving(settings)


def test_every_setting_is_an_option_a_variable_and_a_member_of_the_file(tmp_path: Path) -> None:
    assert set(GIVEN) == set(SETTING_NAMES)
    file = tmp_path / "server.toml"
    file.write_text("\n".join(f'{name.replace("_", "-")} = "{value}"' for name, value in GIVEN.items()))
    variables = {f"TRUST_SERVER_{name.upper()}": value for name, value in GIVEN.items()}
    assert load(cast("GivenSettings", GIVEN), {}).settings == MEANT
    assert load({}, variables).settings == MEANT
    assert load({}, {}, file).settings == MEANT
    assert load({}, {"TRUST_SERVER_CONFIG": str(file)}).settings == MEANT


def test_option_beats_variable_beats_file_and_the_source_is_told(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('listen = "127.0.0.1:1"\ndata = "file"\nview_bytes = 3\nself_signed = true\n')
    environ = {"TRUST_SERVER_LISTEN": "127.0.0.1:2", "TRUST_SERVER_DATA": "variable"}
    sourced = load({"listen": "127.0.0.1:3", "data": None}, environ, file)
    assert sourced.settings.listen == Listen(host="127.0.0.1", port=3)
    assert (sourced.settings.data, sourced.settings.view_bytes) == (Path("variable"), 3)
    assert sourced.sources["listen"] == "--listen"
    assert sourced.sources["data"] == "TRUST_SERVER_DATA"
    assert sourced.sources["view_bytes"] == f"view_bytes in {file}"
    assert sourced.sources["workers"] == "default"


def test_proxies_come_from_repeated_options_a_list_in_the_file_or_one_text(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('trusted-proxy = ["10.0.0.7", "10.1.0.0/16"]\n')
    meant = (ip_network("10.0.0.7"), ip_network("10.1.0.0/16"))
    assert load({"trusted_proxy": ["10.0.0.7", "10.1.0.0/16"]}, {}).settings.trusted_proxy == meant
    assert load({"trusted_proxy": []}, {}, file).settings.trusted_proxy == meant
    assert load({}, {"TRUST_SERVER_TRUSTED_PROXY": "10.0.0.7/32,10.1.0.0/16"}).settings.trusted_proxy == meant


def test_an_address_with_the_bits_of_its_network_is_asked_back() -> None:
    for text, meant in (("10.0.0.7/8", "10.0.0.7 or 10.0.0.0/8?"), ("fd00::7/64", "fd00::7 or fd00::/64?")):
        with pytest.raises(StartRefused, match="is one address of a network") as refused:
            load({"trusted_proxy": [text]}, {})
        assert refused.value.reason.endswith(meant)


def test_a_unix_socket_is_for_a_proxy_on_this_machine() -> None:
    settings = load({"listen": "unix:/run/trust/trust.sock"}, {}).settings
    assert settings.listen == UnixSocket(path=Path("/run/trust/trust.sock"))
    assert str(settings.listen) == "unix:/run/trust/trust.sock"
    assert settings.is_behind_proxy
    assert not load({}, {}).settings.is_behind_proxy
    check_for_serving(settings)
    long = f"/{'é' * 53}"  # 107 bytes
    assert load({"listen": f"unix:{long}"}, {}).settings.listen == UnixSocket(path=Path(long))
    with pytest.raises(StartRefused, match=f"^--listen: {long}x has 108 bytes, and .* at most 107$"):
        load({"listen": f"unix:{long}x"}, {})


def test_variables_that_kubernetes_makes_are_left_alone() -> None:
    made = {"TRUST_SERVER_PORT": "tcp://10.0.0.1:4443", "TRUST_SERVER_SERVICE_HOST": "10.0.0.1"}
    assert load({}, made).settings == load({}, {}).settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "4443"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "127.0.0.1:-1"),
        ("listen", "example.com:80"),
        ("listen", "127.0.0.1:٣"),
        ("listen", "::1:4443"),
        ("listen", "fd00::9:1"),
        ("listen", "unix:"),
        ("listen", "unix:trust.sock"),
        ("listen", "unix:@trust"),
        ("listen", "unix:/run/a\nb"),
        ("listen", "unix:/run/a\0b"),
        ("trusted_proxy", "proxy.example.com"),
        ("trusted_proxy", "10.0.0.7/8"),
        ("trusted_proxy", True),
        ("head_seconds", "0"),
        ("connections", "-1"),
        ("workers", "0"),
        ("workers", "two"),
        ("workers", True),
        ("self_signed", "perhaps"),
        ("upload_seconds", "0"),
        ("log_level", "loud"),
        ("data", ""),
        ("database", 5),
        ("auth_token_realm", "http://auth.example.com/token"),
        ("auth_token_realm", "auth.example.com/token"),
        ("auth_token_realm", "ftp://auth.example.com/token"),
        ("auth_token_realm", "https://"),
        ("auth_token_realm", "https://user:secret@auth.example.com/"),
        ("auth_token_realm", "https://auth.example.com/#token"),
        ("auth_token_realm", "https://auth.example.com:x/"),
        ("auth_token_realm", "https://[::1/"),
        ("auth_token_realm", "https://auth.example.com/a token"),
        ("auth_token_realm", "https://auth.example.com/\r\nx: y"),
        ("auth_token_service", "trust\nserver"),
        ("auth_token_issuer", "ausstellér"),
        ("auth_anonymous_pull", "sometimes"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(StartRefused) as refused:
        load(cast("GivenSettings", {name: value}), {})
    assert refused.value.what == "--" + name.replace("_", "-")


@pytest.mark.parametrize("content", ["listne = 1", "listen", "\xff"])
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "server.toml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(StartRefused):
        load({}, {}, file)
    with pytest.raises(StartRefused):
        load({}, {}, tmp_path / "absent.toml")


TOKENS = {
    "auth_token_realm": "https://auth.example.com/token",
    "auth_token_service": "trust.example.com",
    "auth_token_issuer": "auth.example.com",
    "auth_token_cert": "/a.pem",
}


def test_tokens_say_what_is_missing() -> None:
    with pytest.raises(StartRefused) as refused:
        check_for_serving(load({"auth_token_service": "trust.example.com"}, {}).settings)
    assert str(refused.value) == (
        "--auth-token-service: tokens also need --auth-token-realm, --auth-token-issuer, "
        "--auth-token-cert or --auth-token-jwks"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"workers": "2"},
        {"tls_cert": "c"},
        {"tls_key": "k"},
        {"tls_cert": "c", "tls_key": "k", "self_signed": "1"},
        {"tls_client_ca": "ca", "access": "a"},
        {"tls_client_ca": "ca", "self_signed": "1"},
        {"certificate_header": "X-C", "proxy_secret": "s", "access": "a"},
        {"certificate_header": "X-C", "tls_client_ca": "ca", "access": "a"},
        {"certificate_header": "X-C", "tls_client_ca": "ca", "proxy_secret": "s"},
        {"proxy_secret": "s", "tls_client_ca": "ca", "access": "a", "self_signed": "1"},
        {"proxy_certificate": "CN=edge", "tls_client_ca": "ca", "access": "a", "self_signed": "1"},
        {"proxy_certificate": "CN=edge", "certificate_header": "X-C", "tls_client_ca": "ca", "access": "a"},
        {"tls_client_crl": "crl", "access": "a", "self_signed": "1"},
        {"listen": "unix:/run/trust.sock", "self_signed": "1"},
        {"listen": "unix:/run/trust.sock", "tls_cert": "c", "tls_key": "k"},
        {"listen": "0.0.0.0:4443"},
        {"listen": "[::]:4443"},
        {"listen": "192.0.2.1:4443"},
        *({name: value} for name, value in TOKENS.items()),
        *({name: value for name, value in TOKENS.items() if name != missing} for missing in TOKENS),
        {**TOKENS, "insecure_open": "1"},
        {"auth_anonymous_pull": "1"},
    ],
)
def test_what_must_not_be_served_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(StartRefused):
        check_for_serving(load(cast("GivenSettings", options), {}).settings)


@pytest.mark.parametrize(
    "options",
    [
        {**TOKENS, "listen": "192.0.2.1:4443"},
        {**TOKENS, "auth_token_realm": "http://127.0.0.1:5001/token", "auth_anonymous_pull": "1"},
        {**{name: TOKENS[name] for name in TOKENS if name != "auth_token_cert"}, "auth_token_jwks": "/a.json"},
        {"listen": "localhost:0"},
        {"listen": "[::1]:4443"},
        {"listen": "127.9.9.9:4443"},
        {"listen": "0.0.0.0:4443", "insecure_open": "1"},
    ],
)
def test_loopback_or_an_accepted_risk_is_served(options: dict[str, str]) -> None:
    settings = load(cast("GivenSettings", options), {}).settings
    check_for_serving(settings)
    assert settings != load({"listen": "0.0.0.0:1"}, {}).settings

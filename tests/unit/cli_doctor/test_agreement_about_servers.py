"""`doctor` never contradicts what `verify` just did with a trust server: each situation asked both ways."""

from __future__ import annotations

import pytest

from tests.support.hostile_server import first, reply
from tests.unit.cli_doctor.situations import (
    GUN,
    PAGE,
    READY,
    Situation,
    World,
    a_sign_in_page,
    agree,
    at,
    behind_a_proxy,
    helper,
    logged_in,
    refuses_its_tokens,
    trust_server,
)
from trustcli.client.tuf_remote import TufRemote
from trustcli.config.settings import ServerChoice
from trustcli.doctor.failing import guarded
from trustcli.doctor.trust_server import check_trust_server
from trustcli.session import Session
from trustdata.errors import TrustError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


TRUST_SERVERS = (
    Situation(name="ready", make=at(trust_server())),
    Situation(name="over https", make=at(trust_server(), tls=True)),
    Situation(name="a stranger's CA", make=at(trust_server(), tls=True, known=False), signs=False, wrong="certificate"),
    Situation(name="a mirror of the files alone", make=at(trust_server(ready=reply(404))), notes=("trust-server",)),
    Situation(name="a slow /readyz", make=lambda w: at(trust_server(ready=w.slow))(w), notes=("trust-server",)),
    Situation(
        name="/readyz for some only",
        make=at(trust_server(ready=reply(401, headers={"WWW-Authenticate": "Basic"}))),
        notes=("trust-server",),
    ),
    Situation(
        name="/readyz behind a redirect",
        make=at(trust_server(ready=reply(307, headers={"Location": "/healthz"}), files=READY)),
    ),
    Situation(
        name="/readyz on another server",
        make=at(trust_server(ready=reply(307, headers={"Location": "https://elsewhere.example.com"}))),
        notes=("trust-server",),
    ),
    Situation(
        name="a password for everything",
        make=lambda w: logged_in(w, at(trust_server(challenge="Basic"))),
    ),
    Situation(
        name="a password that nobody stored",
        make=at(trust_server(challenge="Basic")),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a proxy that refuses",
        make=behind_a_proxy(reply(403)),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="nobody there",
        make=lambda w: setattr(w, "server", f"http://{w.dead()}"),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a proxy with nothing behind it",
        make=at(lambda _, wire: wire.send(reply(502, b"<title>502 Bad Gateway</title>"))),
        signs=False,
        wrong="trust-server",
    ),
    Situation(
        name="a proxy that wants a client certificate",
        make=at(lambda _, wire: wire.send(reply(400, b"<h1>No required SSL certificate was sent</h1>"))),
        signs=False,
        wrong="trust-server",
    ),
    Situation(name="a web interface", make=at(lambda _, wire: wire.send(PAGE)), signs=False, wrong="trust-server"),
    Situation(name="a sign-in page before it", make=at(a_sign_in_page), signs=False, wrong="trust-server"),
    Situation(
        name="it refuses the tokens of its own token server",
        make=refuses_its_tokens,
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a password, and tokens of another kind",
        make=lambda w: logged_in(w, at(trust_server(challenge='Bearer, Basic realm="x"'))),
    ),
    Situation(
        name="a Bearer challenge without a realm",
        make=at(trust_server(challenge="Bearer")),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(name="busy once", make=at(first(reply(429, headers={"Retry-After": "20"}), trust_server()))),
    Situation(
        name="busy at /readyz alone",
        make=at(trust_server(ready=reply(503, b"maintenance"))),
        notes=("trust-server",),
    ),
    Situation(
        name="busy for hours",
        make=at(lambda _, wire: wire.send(reply(429, b"slow down", {"Retry-After": "7200"}))),
        signs=False,
        wrong="trust-server",
    ),
    Situation(
        name="a credential helper that fails",
        make=lambda w: helper(w, at(trust_server(challenge="Basic")), "exit 1"),
        signs=False,
        wrong="trust-server",
        same_words=True,
    ),
    Situation(
        name="a credential helper that fails, and is not needed",
        make=lambda w: helper(w, at(trust_server()), "exit 1"),
    ),
)


@pytest.mark.parametrize("situation", TRUST_SERVERS, ids=lambda situation: situation.name)
def test_doctor_and_verify_agree_about_trust_servers(world: World, situation: Situation) -> None:
    situation.make(world)
    session = world.session()
    failure = verify(session)
    assert (failure is None) is situation.signs, str(failure)
    choice = ServerChoice(url=world.server, source="TRUST_SERVER")
    findings = list(guarded("trust-server", lambda: check_trust_server(session, choice, verified=failure is None)))
    agree(situation, findings, failure)


def verify(session: Session) -> TrustError | None:
    """The first step of `trust verify`."""
    remote = TufRemote(session.link(GUN))
    try:
        remote.fetch(GUN, "timestamp.json", limit=16_384)
    except TrustError as failure:
        return failure
    finally:
        session.close()
    return None


def test_the_table_holds_both_verdicts() -> None:
    for verdict in (True, False):
        assert sum(situation.signs is verdict for situation in TRUST_SERVERS) > 3

"""`doctor` never contradicts what `sign` just did with a registry: a table of situations, each asked both ways."""

from __future__ import annotations

import pytest

from tests.support.hostile_server import first, reply
from tests.support.network_users import FILE
from tests.support.token_registries import REPOSITORY
from tests.unit.cli_doctor.situations import (
    BASIC,
    PAGE,
    Situation,
    World,
    a_sign_in_page,
    agree,
    an_empty_helper,
    announced,
    asks_for,
    basic,
    cut_off,
    dead_token_server,
    elsewhere_with_a_login,
    far_behind,
    far_insecure,
    far_insecure_guarded,
    guarded_by,
    helper,
    hidden,
    identity_tokens,
    logged_in,
    logged_in_as,
    login_in_bytes,
    on_another_path,
    open_ping,
    redirecting,
    refuses_its_tokens,
    registry,
    stranger_ca,
    through_proxy,
    token_server_with_a_stranger_ca,
    tokens,
    tunnel,
)
from trustcli.doctor.failing import guarded
from trustcli.doctor.registry import check_registry
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import TrustError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


SITUATIONS = (
    # the scheme
    Situation(name="plain http on this machine", make=lambda w: w.registry(registry())),
    Situation(name="https with a private CA", make=lambda w: w.registry(registry(), tls=True)),
    Situation(name="https with a stranger's CA", make=stranger_ca, signs=False, wrong="certificate"),
    Situation(
        name="plain http far away",
        make=lambda w: through_proxy(w, then=registry()),
        signs=False,
        wrong="registry",
    ),
    Situation(name="an insecure registry", make=lambda w: far_insecure(w, registry())),
    Situation(
        name="an insecure registry, credentials stay here, and anybody may read",
        make=lambda w: far_insecure_guarded(w, anonymous=True),
        notes=("credentials",),
    ),
    Situation(
        name="an insecure registry, credentials stay here, and nobody may read",
        make=lambda w: far_insecure_guarded(w, anonymous=False),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="nobody there", make=lambda w: setattr(w, "host", w.dead()), signs=False, wrong="registry", same_words=True
    ),
    # proxies
    Situation(name="a tunnel", make=tunnel),
    Situation(
        name="a proxy that wants to know who asks",
        make=lambda w: through_proxy(w, then=registry(), connect=reply(407)),
        signs=False,
        wrong="registry",
    ),
    Situation(
        name="a proxy that is none",
        make=lambda w: through_proxy(w, then=registry(), https="socks5://x"),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    # token servers
    Situation(name="a token for anybody", make=lambda w: guarded_by(w, tokens()), notes=("credentials",)),
    Situation(
        name="a token server on another host",
        make=lambda w: logged_in(w, lambda w: guarded_by(w, tokens(wants=BASIC), host="localhost")),
        notes=("challenge",),
    ),
    Situation(
        name="a token server that refuses the password",
        make=lambda w: logged_in(w, lambda w: guarded_by(w, tokens(wants="Basic x"))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server that gives a right to pull, and is angry about one to push",
        make=lambda w: guarded_by(w, tokens(refuses="push", status=403)),
        notes=("credentials", "scopes"),
    ),
    Situation(name="a token server that is down", make=dead_token_server, signs=False, wrong="access", same_words=True),
    Situation(
        name="a token server that fails",
        make=lambda w: guarded_by(w, tokens(wants="never", status=503)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server that says nothing",
        make=lambda w: guarded_by(w, w.slow),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a token server with a stranger's CA",
        make=token_server_with_a_stranger_ca,
        signs=False,
        wrong="certificate",
    ),
    Situation(
        name="a token server in the clear, from https",
        make=lambda w: guarded_by(w, tokens(), tls=True, host="auth.example.com"),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a realm that is none",
        make=lambda w: w.registry(registry(challenge='Bearer realm="ftp://x"', wanted="never")),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a challenge that nobody knows",
        make=lambda w: w.registry(registry(challenge="Negotiate", wanted="never")),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    # credentials
    Situation(
        name="an identity token",
        make=lambda w: logged_in(w, lambda w: guarded_by(w, identity_tokens), identitytoken="idt"),
    ),
    Situation(
        name="an identity token that has run out",
        make=lambda w: logged_in(w, lambda w: guarded_by(w, identity_tokens), identitytoken="old"),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(name="a password", make=lambda w: basic(w, "hunter2")),
    Situation(name="a wrong password", make=lambda w: basic(w, "wrong"), signs=False, wrong="access"),
    Situation(
        name="no password where one is wanted",
        make=lambda w: w.registry(registry(challenge="Basic", wanted=BASIC)),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="a credential helper that fails",
        make=lambda w: helper(w, lambda w: guarded_by(w, tokens()), "echo broken; exit 1"),
        signs=False,
        wrong="credentials",
        same_words=True,
    ),
    Situation(
        name="a credential helper that fails, and is not needed",
        make=lambda w: helper(w, lambda w: w.registry(registry()), "echo broken; exit 1"),
        notes=("credentials",),
    ),
    # redirects
    Situation(name="manifests elsewhere", make=redirecting(lambda w: f"{w.serve(registry()).url}/manifests/x")),
    Situation(
        name="manifests where nobody is",
        make=redirecting(lambda w: f"http://{w.dead()}/x"),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="manifests where something is asked for",
        make=redirecting(lambda w: w.serve(registry(challenge="Basic", wanted=BASIC)).url),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="manifests in the clear",
        make=redirecting(lambda w: w.serve(registry()).url, tls=True),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="manifests that go round in circles",
        make=lambda w: w.registry(registry(image=reply(302, headers={"Location": "/v2/manifests/x"}))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="/v2/ that leads to a page",
        make=lambda w: w.registry(registry(ping=reply(302, headers={"Location": "/manifests/x"}))),
    ),
    Situation(
        name="/v2/ that goes round in circles",
        make=lambda w: w.registry(registry(ping=reply(302, headers={"Location": "/v2/"}))),
        notes=("registry",),
    ),
    Situation(name="a vanity name that leads to where we are logged in", make=elsewhere_with_a_login),
    Situation(
        name="a token server that redirects within itself",
        make=lambda w: guarded_by(w, first(reply(307, headers={"Location": "/token2"}), tokens())),
        notes=("credentials",),
    ),
    Situation(
        name="a token server that redirects elsewhere",
        make=lambda w: guarded_by(w, lambda _, wire: wire.send(reply(307, headers={"Location": "http://127.0.0.2/"}))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    # who hides what, and asks for more than is needed
    Situation(name="a challenge at the manifest alone", make=open_ping),
    Situation(name="images that strangers are not told of", make=hidden(404)),
    Situation(name="images that are forbidden to strangers", make=hidden(403)),
    Situation(name="a challenge that only /v2/ names", make=hidden(401)),
    Situation(
        name="a 401 without any challenge",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(401))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a challenge that names rights to push, which readers are refused",
        make=lambda w: guarded_by(w, tokens(refuses="push"), scope=f"repository:{REPOSITORY}:push,pull"),
        notes=("credentials", "scopes"),
    ),
    # what stands before it
    Situation(
        name="a firewall",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(403, b"<h1>Blocked</h1>"))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a proxy with nothing behind it",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(502, b"<title>502 Bad Gateway</title>"))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a registry that is busy once",
        make=lambda w: w.registry(first(reply(429, headers={"Retry-After": "9"}), registry())),
    ),
    Situation(
        name="a token server that is busy once",
        make=lambda w: guarded_by(w, first(reply(503), tokens())),
        notes=("credentials",),
    ),
    Situation(
        name="a limit that lasts",
        make=lambda w: guarded_by(w, lambda _, wire: wire.send(reply(429, headers={"Retry-After": "7200"}))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a chart under no type",
        make=lambda w: w.registry(registry(image=reply(200, b'{"schemaVersion": 2, "config": {}, "layers": []}'))),
    ),
    # what people have reported of other programs
    Situation(name="a login that was typed in capitals", make=logged_in_as(name="LocalHost:{port}")),
    Situation(name="a login that was typed as a URL", make=logged_in_as(name="https://LOCALHOST:{port}/v2/")),
    Situation(name="the older .dockercfg", make=logged_in_as(name="localhost:{port}", auths=False)),
    Situation(name="Kerberos, or a password", make=asks_for('Negotiate, Basic realm="x"')),
    Situation(name="tokens of another kind, or a password", make=asks_for('Bearer, Basic realm="x"')),
    Situation(name="a Bearer realm that is a name, or a password", make=asks_for('Bearer realm="x", Basic realm="x"')),
    Situation(
        name="a Bearer challenge without a realm",
        make=asks_for("Bearer"),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a realm that is a path",
        make=asks_for('Bearer realm="/token"'),
        signs=False,
        wrong="challenge",
        same_words=True,
    ),
    Situation(
        name="a page in place of a token",
        make=lambda w: guarded_by(w, lambda _, wire: wire.send(PAGE)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a registry that refuses its own tokens",
        make=refuses_its_tokens,
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a sign-in page before the registry",
        make=lambda w: w.registry(a_sign_in_page),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="nothing in place of a manifest",
        make=lambda w: w.registry(registry(image=reply(200))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a password that ends the host of a proxy",
        make=far_behind("http://alice:hunter2#x@proxy.example.com:3128"),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="quotation marks around a proxy",
        make=far_behind('"http://proxy.example.com:3128"'),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="a list of tags that is null",
        make=lambda w: w.registry(registry(tags=reply(200, b'{"tags": null}'), only="1.0")),
    ),
    # what is at /v2/
    Situation(name="no /v2/", make=lambda w: w.registry(registry(ping=reply(404))), notes=("registry",)),
    Situation(name="a slow /v2/", make=lambda w: w.registry(registry(ping=w.slow)), notes=("registry",)),
    Situation(
        name="a huge /v2/", make=lambda w: w.registry(registry(ping=reply(200, b"x" * 300_000))), notes=("registry",)
    ),
    # what is not there
    Situation(name="no such tag but another", make=lambda w: w.registry(registry(only="1.0"))),
    Situation(
        name="no list of tags", make=lambda w: w.registry(registry(tags=reply(405), only="1.0")), notes=("access",)
    ),
    Situation(
        name="nothing at all",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(404))),
        signs=False,
        wrong="registry",
    ),
    Situation(
        name="may not be read",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(403))),
        signs=False,
        wrong="access",
    ),
    # what comes is of no use
    Situation(
        name="a registry that fails",
        make=lambda w: w.registry(lambda _, wire: wire.send(reply(503))),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="a registry that says nothing",
        make=lambda w: w.registry(w.slow),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="a digest that is not that of the bytes",
        make=lambda w: w.registry(registry(image=reply(200, FILE, {"Docker-Content-Digest": f"sha256:{'0' * 64}"}))),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="a manifest without end",
        make=lambda w: w.registry(registry(image=reply(200, b"x" * 5_000_000))),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
    Situation(
        name="a manifest without end, behind a password",
        make=lambda w: basic(w, "hunter2", image=reply(200, b"x" * 5_000_000)),
        signs=False,
        wrong="access",
        same_words=True,
    ),
    Situation(
        name="early hints",
        make=lambda w: w.registry(announced(hints=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")),
    ),
    Situation(name="a password in Latin-1", make=login_in_bytes("alice:hunter2-ä".encode("latin-1"))),
    Situation(name="no helper for this registry", make=an_empty_helper),
    Situation(name="manifests on another path of the same host", make=on_another_path),
    Situation(
        name="a token server that is the address of something else",
        make=lambda w: guarded_by(w, lambda _, wire: wire.send(reply(404, b"404 page not found"))),
        signs=False,
        wrong="access",
    ),
    Situation(
        name="a manifest that is cut off",
        make=lambda w: w.registry(cut_off),
        signs=False,
        wrong="registry",
        same_words=True,
    ),
)


def sign(session: Session, tag: str) -> TrustError | None:
    """The first step of `trust sign`."""
    reference = parse_reference(f"{session.environ['REGISTRY']}/{REPOSITORY}:{tag}")
    try:
        session.registry().resolve(reference)
    except TrustError as failure:
        return failure
    finally:
        session.close()
    return None


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_doctor_and_sign_agree_about_registries(world: World, situation: Situation) -> None:
    situation.make(world)
    session = world.session()
    failure = sign(session, "1.0")
    assert (failure is None) is situation.signs, str(failure)
    reference = parse_reference(f"{world.host}/{REPOSITORY}")
    findings = list(guarded("registry", lambda: check_registry(session, reference)))
    agree(situation, findings, failure)


def test_the_table_holds_both_verdicts() -> None:
    for verdict in (True, False):
        assert sum(situation.signs is verdict for situation in SITUATIONS) >= 20

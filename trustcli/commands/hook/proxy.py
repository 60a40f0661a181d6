"""`trust hook proxy`: a registry that hands out what is signed, in front of one that hands out everything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trustcli.commands.support.operator_address import MetricsAddress, answered_at, metrics_option
from trustcli.commands.support.resident import (
    DEFAULT_REFRESH,
    Refresh,
    SettingsFile,
    StateFolder,
    TlsCertificate,
    TlsKey,
    refresh_option,
    resident_source,
)
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.hooks.proxy.client_config import CLIENTS, client_config
from trustcli.http.messages import Origin, parse_url
from trustcli.http.proxies import is_loopback
from trustdata.errors import InvalidName
from trustdata.gun import parse_gun
from trustdata.hosts import DOCKER_HUB, HUB_HOSTS, is_host, normal_host
from trustdata.suggestion import one_of

if TYPE_CHECKING:
    from trustcli.hooks.proxy.proxy_settings import ProxySettings
    from trustcli.hooks.resident.configuration import Source
    from trustcli.hooks.resident.decider import ResidentDecider
    from trustcli.hooks.serving.certificate import ReloadedCertificate
    from trustcli.hooks.serving.listening import Listen
    from trustcli.hooks.serving.operator_pages import OperatorPages
    from trustcli.hooks.serving.server import Server
    from trustcli.session import Session

_BLOBS: Final = ("stream", "redirect")


def proxy(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[config CLIENT]", help="Print a client's configuration: docker, containerd, podman, crio."
        ),
    ] = None,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="where clients pull from")] = "",
    upstream: Annotated[str, typer.Option("--upstream", metavar="URL", help="the registry behind it")] = "",
    registry: Annotated[
        str,
        typer.Option("--registry", metavar="NAME", help="its name in the names of images, if that is not its address"),
    ] = "",
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="the policy; images that no rule matches are refused"),
    ] = None,
    refresh: Refresh = DEFAULT_REFRESH,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="listen beyond this machine without TLS: credentials can be read")
    ] = False,
    blobs: Annotated[
        str, typer.Option("--blobs", metavar="HOW", help="stream, or redirect to where the registry has them")
    ] = "stream",
    referrers: Annotated[
        bool, typer.Option("--referrers", help="hand out what is attached to signed images, though nobody signed that")
    ] = False,
    allow_push: Annotated[bool, typer.Option("--allow-push", help="pass pushes through to the registry")] = False,
    metrics: MetricsAddress = None,
    config: SettingsFile = None,
    state: StateFolder = None,
    address: Annotated[
        str, typer.Option("--address", metavar="URL", help="for config: the URL under which clients reach the proxy")
    ] = "",
) -> int:
    """Answer as a registry does: signed tags, what belongs to them, and nothing else; until it is stopped.

    With `config CLIENT`, print the configuration with which a client pulls through it.
    """
    session: Session = ctx.obj
    if words:
        return _print_config(session, words, address=address, registry=registry)
    if address:
        raise UsageError("--address is for: trust hook proxy config CLIENT")
    if not listen or not upstream:
        missing = " and ".join(
            option for option, value in (("--listen", listen), ("--upstream", upstream)) if not value
        )
        raise UsageError(f"give {missing}; or config and a client, for its configuration")
    if blobs not in _BLOBS:
        raise UsageError(f"--blobs is {blobs}, but must be one of {', '.join(_BLOBS)}")
    from trustcli.hooks.proxy.proxy_settings import ProxySettings
    from trustcli.hooks.resident.decider import resident_decider
    from trustcli.hooks.resident.limits import ResidentLimits
    from trustcli.hooks.serving.listening import listen_option, stopped_by_signals

    origin, path = parse_url(upstream, kind="registry")
    if path.rstrip("/").endswith("/v2"):
        prefix = path.rstrip("/").removesuffix("/v2")
        raise UsageError(f"--upstream ends in /v2, which clients ask for themselves; write it so: {origin}{prefix}")
    settings = ProxySettings(
        registry=_registry_name(registry, origin),
        allow_push=allow_push,
        referrers=referrers,
        redirect_blobs=blobs == "redirect",
    )
    place = listen_option(listen)
    watched = metrics_option(metrics)
    limits = ResidentLimits(refresh=refresh_option(refresh))
    source = resident_source(session, config=config, state=state, default="proxy", policy=policy)
    tls = _certificate(place, tls_cert, tls_key, insecure_http=insecure_http)
    _check_upstream(origin, source, session.settings.insecure_registries)
    with resident_decider(source, limits=limits) as decider:
        server, pages = _server(settings, place, tls, origin, path, source, decider)
        url = f"{'https' if tls else 'http'}://{server.address}"
        with answered_at(watched, pages) as pages_url, stopped_by_signals(server.stop):
            session.output.result(f"{settings.registry} verified at {url}")
            if pages_url:
                session.output.result(f"metrics at {pages_url}/metrics")
            session.output.document(
                {
                    "url": url,
                    "registry": settings.registry,
                    "upstream": str(origin),
                    "metrics": f"{pages_url}/metrics" if pages_url else None,
                    "exit": DONE,
                }
            )
            sys.stdout.flush()  # whoever has started it waits for these lines
            if reason := decider.why_not_ready():
                session.output.notice(f"warning: {reason}")
            server.run()
    return DONE


def _print_config(session: Session, words: list[str], *, address: str, registry: str) -> int:
    if len(words) == 2 and words[0] == "config" and words[1] not in CLIENTS:
        raise UsageError(f"{words[1]} is no client{one_of(words[1], CLIENTS)}")
    if len(words) != 2 or words[0] != "config":
        raise UsageError(f"trust hook proxy takes no words, or config and one of {', '.join(CLIENTS)}")
    if not address or not registry:
        raise UsageError(
            "config needs --address URL, where clients reach the proxy, and --registry NAME, which it verifies"
        )
    origin, path = parse_url(address, kind="proxy")
    if path != "/":
        raise InvalidName(kind="proxy", name=address, reason="has a path; registries have none")
    made = client_config(words[1], proxy=origin, registry=_registry_name(registry, origin))
    session.output.notice(f"for {made.file}:")
    if not session.output.as_json:
        session.output.raw(made.text)
    session.output.paragraph(*made.hints)
    session.output.document(
        {"client": words[1], "file": made.file, "text": made.text, "hints": made.hints, "exit": DONE}
    )
    return DONE


def _registry_name(given: str, upstream: Origin) -> str:
    """Return the registry's part of names of images. Raises: InvalidName, UsageError."""
    host = upstream.host_port if upstream.host not in HUB_HOSTS else DOCKER_HUB
    name = normal_host(given or host)
    try:
        parse_gun(f"{name}/a")
    except InvalidName as error:
        without = name.rpartition("://")[2].rstrip("/")
        meant = f"; write it so: {without}" if without != name else ""
        raise UsageError(f"--registry is {name}, which no name of an image begins with{meant}") from error
    if not is_host(name):
        raise UsageError(f"--registry is {name}, but names of images begin with a host, such as registry.example.com")
    return name


def _certificate(
    listen: Listen, certificate: Path | None, key: Path | None, *, insecure_http: bool
) -> ReloadedCertificate | None:
    """Return the certificate; None for plain HTTP, where that is allowed. Raises: UsageError, SettingsUnusable."""
    if (certificate is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    if certificate is not None and key is not None:
        from trustcli.hooks.serving.certificate import ReloadedCertificate
        from trustcli.session import wall_clock

        return ReloadedCertificate(certificate, key, at=wall_clock)
    if not (is_loopback(listen.host) or insecure_http):
        reason = "clients would send their credentials in the clear"
        raise UsageError(f"--listen {listen} is beyond this machine: give --tls-cert and --tls-key, since {reason}")
    return None


def _check_upstream(origin: Origin, source: Source, also_allowed: tuple[str, ...]) -> None:
    """Refuse to send callers' credentials in the clear. Raises: UsageError, SettingsUnusable, FileExposed."""
    allowed = {*source.settings().insecure_registries, *also_allowed}
    if not origin.may_carry_credentials and allowed.isdisjoint({origin.bracketed, origin.host_port}):
        raise UsageError(
            f"--upstream {origin} is plain HTTP, and clients' credentials would go over it: use https, or allow that "
            f"with --insecure-registry {origin.host_port}"
        )


def _server(
    settings: ProxySettings,
    listen: Listen,
    tls: ReloadedCertificate | None,
    upstream: Origin,
    path: str,
    source: Source,
    decider: ResidentDecider,
) -> tuple[Server, OperatorPages]:
    """Put the proxy together; return it, and what its operator may see at another address than those who pull.

    Raises: SettingsUnusable, FileExposed.
    """
    from trustcli.config.hook_environment import hook_environment
    from trustcli.hooks.proxy.metrics import ProxyMetrics
    from trustcli.hooks.proxy.permission import Permissions
    from trustcli.hooks.proxy.proxy import VerifyingProxy
    from trustcli.hooks.proxy.reachability import ReachabilityIndex
    from trustcli.hooks.proxy.signed_search import SignedSearch
    from trustcli.hooks.proxy.upstream import Upstream
    from trustcli.hooks.serving.messages import Request, Response
    from trustcli.hooks.serving.operator_pages import OperatorPages
    from trustcli.hooks.serving.server import Server
    from trustcli.http.streams import StreamPool
    from trustcli.session import Session, wall_clock

    session = Session(
        settings=source.settings(),
        environ=hook_environment(source.environ, source.config),
        output=source.output,
        at=wall_clock(),
    )
    registry = Upstream(upstream, StreamPool(session.network()), prefix=path.rstrip("/"))
    index = ReachabilityIndex(source.state / "reachable")
    permissions = Permissions(
        settings.registry, decider, index, SignedSearch(index, registry), referrers=settings.referrers
    )
    metrics = ProxyMetrics()
    handler = VerifyingProxy(settings, upstream=registry, decider=decider, permissions=permissions, metrics=metrics)

    if tls is not None:
        metrics.watch_certificate(tls.expiry)

    def why_not_ready() -> str:
        if server.stopping:
            return "it is stopping"
        return (tls.why_expired if tls is not None else "") or decider.why_not_ready()

    def why_not_ready_in_public() -> str:
        # Whoever pulls may ask; paths, and the operator's mistakes, are for the log.
        reason = why_not_ready()
        return "it is not ready; the log says why" if reason and not server.stopping else reason

    def text() -> bytes:
        metrics.connections.set(server.connections)
        metrics.turned_away.set(server.turned_away)
        return metrics.text() + decider.metrics.text()

    public = OperatorPages(why_not_ready=why_not_ready_in_public, metrics=None)

    def handle(request: Request) -> Response:
        return public.answer(request) or handler(request)

    server = Server(listen=listen, handler=handle, tls=tls)
    return server, OperatorPages(why_not_ready=why_not_ready, metrics=text)

"""`trust hook admission`: the admission webhook of a Kubernetes cluster."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keys.record import replace
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

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.hooks.kubernetes.callers import Callers
    from trustcli.hooks.kubernetes.certificates import ServedCertificate
    from trustcli.hooks.kubernetes.judging import Asked
    from trustcli.hooks.resident.configuration import Source
    from trustcli.hooks.resident.decider import ResidentDecider
    from trustcli.hooks.resident.limits import ResidentLimits
    from trustcli.hooks.serving.listening import Listen
    from trustcli.hooks.serving.server import Server
    from trustcli.session import Session

_HOST: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.:*-]*", re.ASCII)
"""What can stand in a certificate: a name of DNS, or an address."""
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def admission(
    ctx: typer.Context,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="where reviews are taken, over HTTPS")],
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="the policy; images that no rule matches are refused")
    ],
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="make a CA and a certificate, and print the caBundle")
    ] = False,
    dns_name: Annotated[
        list[str] | None,
        typer.Option(
            "--dns-name",
            metavar="NAME",
            help="a name in the certificate, such as SERVICE.NAMESPACE.svc; may be repeated",
        ),
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-client-ca", metavar="FILE", help="who issues certificates of API servers; only they may post"
        ),
    ] = None,
    namespace_policy: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace-policy", metavar="NAMESPACE=FILE", help="a further policy, for the Pods of one namespace"
        ),
    ] = None,
    mutate_templates: Annotated[
        bool, typer.Option("--mutate-templates", help="pin tags in Deployments and other templates, too")
    ] = False,
    require_digests: Annotated[
        bool, typer.Option("--require-digests", help="/validate refuses Pods whose signed tags nobody has pinned")
    ] = False,
    refresh: Refresh = DEFAULT_REFRESH,
    config: SettingsFile = None,
    state: StateFolder = None,
) -> int:
    """Answer a cluster's API server, which asks at each new Pod: POST /validate, POST /mutate (AdmissionReview v1).

    GET /healthz, /readyz and /metrics are for the operator.
    """
    from trustcli.hooks.kubernetes.callers import Callers
    from trustcli.hooks.kubernetes.certificates import OwnCertificate, ServedCertificate, ca_bundle
    from trustcli.hooks.resident.limits import ResidentLimits
    from trustcli.hooks.serving.listening import listen_option, stopped_by_signals
    from trustcli.session import wall_clock

    session: Session = ctx.obj
    place = listen_option(listen)
    if self_signed == (tls_cert is not None or tls_key is not None) or (tls_cert is None) != (tls_key is None):
        raise UsageError("give --tls-cert and --tls-key, or --self-signed instead")
    if dns_name and not self_signed:
        raise UsageError("--dns-name is for --self-signed; a certificate of your own has its names already")
    if odd := [name for name in dns_name or () if not _HOST.fullmatch(name)]:
        raise UsageError(f"--dns-name is {odd[0]}, but must be a host, such as trust-admission.content-trust.svc")
    policies = _namespace_policies(namespace_policy or ())
    limits = ResidentLimits(refresh=refresh_option(refresh))
    source = resident_source(session, config=config, state=state, default="admission", policy=policy)
    tls: ServedCertificate
    if tls_cert is not None and tls_key is not None:
        tls = ServedCertificate(tls_cert, tls_key, at=wall_clock, client_ca=tls_client_ca)
    else:
        folder, names = source.state / "tls", tuple(dns_name or ())
        tls = OwnCertificate(folder, dns_names=names, at=wall_clock, client_ca=tls_client_ca)
    callers = None
    if tls_client_ca is not None:
        callers = Callers(tls.authorities, now=lambda: wall_clock().timestamp())
    with _deciders(source, policies, limits) as deciders:
        server = _server(
            place, tls, deciders, templates=mutate_templates, require_digests=require_digests, callers=callers
        )
        url = f"https://{server.address}"
        ca = tls.ca if isinstance(tls, OwnCertificate) else None
        bundle = ca_bundle(ca) if ca else None
        with stopped_by_signals(server.stop):  # before anybody is told that it runs
            session.output.result(f"admission at {url}")
            if ca:
                session.output.result(f"CA certificate: {ca}")
                session.output.result(f"caBundle: {bundle}")
            session.output.document({"url": url, "ca": str(ca) if ca else None, "ca_bundle": bundle, "exit": DONE})
            sys.stdout.flush()  # whoever has started it waits for these lines
            server.run()
    return DONE


def _server(
    listen: Listen,
    tls: ServedCertificate,
    deciders: Mapping[str, ResidentDecider],
    *,
    templates: bool,
    require_digests: bool,
    callers: Callers | None,
) -> Server:
    """Put the webhook together. Raises: SettingsUnusable (the address cannot be used).

    It is ready while it can answer, a refusal included: an API server that reaches nobody could tell nobody why.
    """
    from trustcli.hooks.kubernetes.judging import asked_for
    from trustcli.hooks.kubernetes.measures import Measures
    from trustcli.hooks.kubernetes.time_limit import LimitedTime
    from trustcli.hooks.kubernetes.webhook import LIMITS, AdmissionWebhook
    from trustcli.hooks.serving.operator_pages import OperatorPages
    from trustcli.hooks.serving.server import Server
    from trustcli.registry.reference import parse_reference

    def at_once(question: Asked) -> Decision | None:
        reference = asked_for(question.image)
        return deciders[question.namespace].decide_at_once(reference, reference.digest)

    measures = Measures()
    measures.watch_certificate(tls.expiry)
    pages = OperatorPages(
        why_not_ready=lambda: "it is stopping" if server.stopping else "",
        metrics=lambda: measures.text() + deciders[""].metrics.text(),
    )
    webhook = AdmissionWebhook(
        LimitedTime(
            deciders,
            server_of=lambda question: deciders[question.namespace].server_of(parse_reference(question.image)),
            at_once=at_once,
        ),
        pages=pages,
        measures=measures,
        templates=templates,
        require_digests=require_digests,
        callers=callers,
    )
    server = Server(listen=listen, handler=webhook, tls=tls, limits=LIMITS)
    return server


@contextmanager
def _deciders(
    source: Source, policies: Mapping[str, Path], limits: ResidentLimits
) -> Iterator[dict[str, ResidentDecider]]:
    """Make who decides by each policy, each with a memory of its own; "" is the policy of the whole cluster.

    Raises: PolicyMalformed, SettingsUnusable, FileNewer, FileExposed. What is wrong from the start ends the start, so
    that a rollout stops there; what becomes wrong later is refused.
    """
    from trustcli.client.policy_file import load_policy
    from trustcli.hooks.resident.decider import resident_decider

    with ExitStack() as stack:
        found: dict[str, ResidentDecider] = {}
        sources = {"": source}
        for namespace, file in policies.items():
            state = source.state / "namespaces" / namespace
            sources[namespace] = replace(source, policy=file.absolute(), state=state)
        for namespace, each in sources.items():
            if each.policy is not None:
                load_policy(each.policy)
            found[namespace] = stack.enter_context(resident_decider(each, limits=limits))
        yield found


def _namespace_policies(given: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for each in given:
        namespace, _, file = each.partition("=")
        if not _NAMESPACE.fullmatch(namespace) or not file:
            raise UsageError(f"--namespace-policy is {each}, but must be NAMESPACE=FILE, such as team-a=team-a.toml")
        if namespace in found:
            raise UsageError(f"--namespace-policy names {namespace} twice")
        found[namespace] = Path(file)
    return found

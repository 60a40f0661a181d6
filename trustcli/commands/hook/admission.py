"""`trust hook admission`: the admission webhook of a Kubernetes cluster."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trustcli.config.settings import Settings, load_hook_settings
from trustcli.console.client_log import start_log
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session, hook_environment, hook_session

if TYPE_CHECKING:
    from trustcli.hooks.deciding.ports import Decider

_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def admission(
    ctx: typer.Context,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="where reviews are taken, over HTTPS")],
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="the policy: what no rule of it matches is refused")
    ],
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="the certificate, read again when it changes")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="its key, unencrypted")] = None,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="make a CA and a certificate, and print the caBundle")
    ] = False,
    dns_name: Annotated[
        list[str] | None,
        typer.Option("--dns-name", metavar="NAME", help="a name in it, such as SERVICE.NAMESPACE.svc; repeat it"),
    ] = None,
    namespace_policy: Annotated[
        list[str] | None,
        typer.Option("--namespace-policy", metavar="NAMESPACE=FILE", help="what a namespace requires besides"),
    ] = None,
    mutate_templates: Annotated[
        bool, typer.Option("--mutate-templates", help="pin tags in Deployments and other templates, too")
    ] = False,
    require_digests: Annotated[
        bool, typer.Option("--require-digests", help="/validate refuses Pods whose signed tags nobody has pinned")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="the webhook's settings, a trust.toml")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="where it keeps memory, cache and its own certificate")
    ] = None,
) -> int:
    """Answer a cluster's API server, which asks at each new Pod: POST /validate, POST /mutate (AdmissionReview v1).

    GET /healthz, /readyz and /metrics are for the operator.
    """
    from trustcli.hooks.kubernetes.certificates import OwnCertificate, ServedCertificate, ca_bundle
    from trustcli.hooks.kubernetes.measures import Measures
    from trustcli.hooks.kubernetes.time_limit import LimitedTime
    from trustcli.hooks.kubernetes.webhook import LIMITS, AdmissionWebhook
    from trustcli.hooks.serving.listening import parse_listen, stopped_by_signals
    from trustcli.hooks.serving.operator_pages import OperatorPages
    from trustcli.hooks.serving.server import Server

    session: Session = ctx.obj
    address = parse_listen(listen)
    if self_signed == (tls_cert is not None or tls_key is not None) or (tls_cert is None) != (tls_key is None):
        raise UsageError("give --tls-cert and --tls-key, or --self-signed instead")
    if dns_name and not self_signed:
        raise UsageError("--dns-name is for --self-signed; a certificate of your own has its names already")
    settings, environ = _settings(session, config=config, state=state)
    start_log(settings.log or "warning", session.output)
    policies = {"": policy, **_namespace_policies(namespace_policy or ())}
    deciding = LimitedTime(_deciders(policies, settings, environ, session))
    measures = Measures()
    tls: ServedCertificate
    if tls_cert is not None and tls_key is not None:
        tls = ServedCertificate(tls_cert, tls_key)
    else:
        tls = OwnCertificate(
            settings.memory_folder / "tls",
            dns_names=tuple(dns_name or ()),
            at=lambda: hook_session(settings, environ, session.output).at,
        )
    measures.watch_certificate(tls.expiry)
    pages = OperatorPages(why_not_ready=lambda: "it is stopping" if server.stopping else "", metrics=measures.text)
    webhook = AdmissionWebhook(
        deciding, pages=pages, measures=measures, templates=mutate_templates, require_digests=require_digests
    )
    server = Server(listen=address, handler=webhook, tls=tls, limits=LIMITS)
    host, port = server.address
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    ca = tls.ca if isinstance(tls, OwnCertificate) else None
    bundle = ca_bundle(ca) if ca else None
    session.output.result(f"admission at {url}")
    if ca:
        session.output.result(f"CA certificate: {ca}")
        session.output.result(f"caBundle: {bundle}")
    session.output.document({"url": url, "ca": str(ca) if ca else None, "ca_bundle": bundle, "exit": DONE})
    sys.stdout.flush()  # whoever has started it waits for these lines
    with stopped_by_signals(server):
        server.run()
    deciding.close()
    return DONE


def _settings(session: Session, *, config: Path | None, state: Path | None) -> tuple[Settings, dict[str, str]]:
    """Return the settings of a hook, and its environment: those of `--config` alone, or else those of the command.

    Raises: SettingsUnusable, FileExposed.
    """
    environ = hook_environment(session.environ, config)
    if config is not None:
        return load_hook_settings(environ, config=config.absolute(), state=state and state.absolute()), environ
    kept = replace(session.settings, lock=None, tofu=False, non_interactive=True)
    return (replace(kept, state=state.absolute()) if state else kept), environ


def _namespace_policies(given: list[str] | tuple[()]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for each in given:
        namespace, _, file = each.partition("=")
        if not _NAMESPACE.fullmatch(namespace) or not file:
            raise UsageError(f"--namespace-policy is {each}, but wants NAMESPACE=FILE, such as team-a=team-a.toml")
        if namespace in found:
            raise UsageError(f"--namespace-policy names {namespace} twice")
        found[namespace] = Path(file)
    return found


def _deciders(
    policies: dict[str, Path], settings: Settings, environ: dict[str, str], session: Session
) -> dict[str, Decider]:
    """Return who decides by each policy. Raises: PolicyMalformed, FileNewer, FileExposed."""
    from trustcli.client.policy_file import load_policy
    from trustcli.hooks.kubernetes.deciders import FileDecider

    found: dict[str, Decider] = {}
    for namespace, file in policies.items():
        load_policy(file)  # what is wrong from the start is told at the start
        found[namespace] = FileDecider(file.absolute(), lambda: hook_session(settings, environ, session.output))
    return found

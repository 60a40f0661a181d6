"""A refusal in one line, for a user who only wanted to start a container: what, why, and what to do next."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from keys.record import record
from trustcli import errors as cli_errors
from trustcli.console.access_advice import advice_no_access, lacks_a_right
from trustcli.console.address_advice import host_and_port
from trustcli.console.exit_codes import OTHER
from trustcli.console.failure_table import (
    Failure,
    advice_client_certificate,
    advice_pinned_by_key,
    row_for,
    wants_client_certificate,
)
from trustcli.console.internal_error import internal_error
from trustcli.console.policy_advice import BY_RULES_ALONE
from trustdata import errors
from trustdata.errors import shown

MAX_LINE: Final = 1000
"""Characters. containerd cuts a line at 32 KiB; Kubernetes events and `kubectl describe` cut earlier."""


@record
class HookRequest:
    """What a message says about the request. `home`, `settings`: None as long as they are not known.

    `docker`: the folder with Docker's configuration, if a settings file was named: then no variable of `trust` counts.
    """

    name: str
    home: Path | None = None
    settings: Path | None = None
    docker: Path | None = None

    @property
    def trust(self) -> str:
        """The beginning of a `trust` command line that uses the same files as the hook."""
        return f"trust --home {shlex.quote(str(self.home))}" if self.home else "trust"

    @property
    def explain(self) -> str:
        """The command line that explains the verdict."""
        return f"{self.trust} explain {shlex.quote(shown(self.name))}"


def refusal_line(error: BaseException, request: HookRequest) -> tuple[int, str]:
    """Return the exit status, which is never 0, and the line; an unexpected error is reported without its text."""
    if isinstance(error, Failure):
        sentence = _moved(error) if isinstance(error, errors.TagMismatch) else str(error)
        status = row_for(error).status or OTHER
        advice = _advice(error, request)
    elif isinstance(error, KeyboardInterrupt):
        status, sentence, advice = OTHER, "interrupted", ""
    elif isinstance(error, MemoryError):
        status, sentence, advice = OTHER, "there is not enough memory to judge this image", ""
    else:
        status, sentence, advice = OTHER, internal_error(error), ""
    return status, shown(f"{sentence}; next: {advice}" if advice else sentence, MAX_LINE)


def _moved(error: errors.TagMismatch) -> str:
    return f"{error.gun}: tag {error.tag} is signed as {error.signed} but the registry served {error.asked}"


def _advice(error: Failure, request: HookRequest) -> str:
    for kind in type(error).__mro__:
        if kind in _HOOK_ADVICE:
            return _HOOK_ADVICE[kind](error, request)
    return _usual(error, request)


def _usual(error: Failure, request: HookRequest) -> str:
    general = row_for(error).advice(error)
    if "trust explain " in general:  # with the hook's own files
        return general.replace("trust explain ", f"{request.trust} explain ")
    return f"{general} ({request.explain})" if general else request.explain


def _pin(error: Failure, request: HookRequest) -> str:
    details = error.details()
    replace = " --replace" if isinstance(error, errors.RootNotPinned) else ""
    when = (
        "only if the publisher confirms a new root" if replace else "compare the fingerprint with the publisher's, then"
    )
    return f"{when}: {request.trust} pin {details['gun']} {details['found']}{replace}"


def _fingerprint(error: Failure, request: HookRequest) -> str:
    return advice_pinned_by_key(error, trust=request.trust)


def _unsigned(_: Failure, request: HookRequest) -> str:
    where = request.settings or "the settings file"
    return f"{request.explain}; an infrastructure image may be named under [verifier] allow in {where}"


def _policy_refused(error: Failure, request: HookRequest) -> str:
    by_rules = isinstance(error, errors.PolicyRefused) and error.by_rules_alone
    return f"{BY_RULES_ALONE}; {_unsigned(error, request)}" if by_rules else _unsigned(error, request)


def _writable(error: Failure, _: HookRequest) -> str:
    if error.details()["reason"] == os.strerror(errno.ENOSPC):
        return f"make room on the disk of {error.details()['path']}, or give the hook another --state"
    return f"make {error.details()['path']} writable for the container runtime, or give the hook another --state"


def _unreachable(error: Failure, request: HookRequest) -> str:
    of_ours = type(error) is cli_errors.RemoteUnreachable and not error.details()["named_by"]
    if request.docker is None or not of_ours:  # of the others, more is known
        return _usual(error, request)
    where = f"[servers] in {request.settings}; else the registry's host"
    return f"check the address ({where}), the network and the container runtime's proxy variables ({request.explain})"


def _private_ca(error: Failure, request: HookRequest) -> str:
    if request.docker is None:
        return _usual(error, request)
    remote = str(error.details()["remote"])
    put = f"name its file as cacert in {request.settings}, or copy it to {request.docker}/tls/{host_and_port(remote)}/"
    return f"a private CA: {put}ca.crt; else tell the operator of {remote} ({request.explain})"


def _client_certificate(error: Failure, request: HookRequest) -> str:
    if request.docker is None:
        return _usual(error, request)
    remote = str(error.details()["remote"])
    return advice_client_certificate(remote, folder=str(request.docker), settings=str(request.settings))


def _refused(error: Failure, request: HookRequest) -> str:
    if request.docker is None or not isinstance(error, cli_errors.RemoteRefused):
        return _usual(error, request)
    if wants_client_certificate(error):
        return _client_certificate(error, request)
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and not error.page:
        login = f"docker --config {shlex.quote(str(request.docker))} login"
        if lacks_a_right(error):
            return f"{advice_no_access(error, login=login, trust=request.trust)} ({request.explain})"
        return f"{login}, with an account that may do this on {error.remote} ({request.explain})"
    return _usual(error, request)


def _general(error: Failure, _: HookRequest) -> str:
    return row_for(error).advice(error)


_HOOK_ADVICE: Final[dict[type, Callable[[Failure, HookRequest], str]]] = {
    errors.Unpinned: _pin,
    errors.RootNotPinned: _pin,
    errors.RootNotNamed: _fingerprint,
    errors.NoTrustData: _unsigned,
    errors.NotSigned: _unsigned,
    errors.PolicyRefused: _policy_refused,
    cli_errors.NoTrustServer: _unsigned,
    cli_errors.MemoryUnwritable: _writable,
    cli_errors.RemoteUnreachable: _unreachable,
    cli_errors.CertificateRefused: _private_ca,
    cli_errors.ClientCertificateWanted: _client_certificate,
    cli_errors.RemoteRefused: _refused,
    errors.MemoryDamaged: _general,
    errors.FileNewer: _general,
    cli_errors.HookRequestMalformed: _general,
    cli_errors.PolicyNotObtained: _general,
    cli_errors.VerdictTooLate: _general,
    cli_errors.SettingsUnusable: lambda error, _: (
        f"put {error.details()['place']} right, then: trust doctor containerd"
    ),
    errors.PolicyMalformed: lambda error, _: f"put {error.details()['source']} right, then: trust doctor containerd",
}

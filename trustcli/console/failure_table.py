"""The table of failures: exit status and advice for each class of errors. The sentence is the error's own."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from keys.errors import (
    KeyFileExposed,
    KeyFileMissing,
    KeyFileUnreadable,
    KeyFileUnwritable,
    KeyNotAuthorised,
    KeyNotFound,
    KeysError,
    KeyStoreUnreadable,
    KeyStoreUnwritable,
    PassphraseMissing,
    PassphraseWrong,
)
from keys.record import record
from trustcli import errors as cli_errors
from trustcli.console.exit_codes import KEYS, NOT_SIGNED, NOT_TRUSTED, OTHER, POLICY, REFUSED, UNREACHABLE, USAGE
from trustcli.errors import UsageError
from trustdata import errors
from trustdata.roles import ONLINE, is_delegated

Failure = errors.TrustError | KeysError | UsageError


@record
class Row:
    """The exit status of one class of errors. `advice`: returns the command to try next, or "" if there is none."""

    status: int
    advice: Callable[[Failure], str] = lambda _: ""


def _say(text: str) -> Callable[[Failure], str]:
    """Return a function that fills the error's fields into the text."""

    def advice(error: Failure) -> str:
        values = {name: str(value) for name, value in error.details().items()}
        return text.format(**values)

    return advice


def _help_command(error: Failure) -> str:
    return error.help_command if isinstance(error, UsageError) else ""


def _after_refusal(error: Failure) -> str:
    """Return what helps against the refusal of a server; another account does with 401 and 403 only."""
    if not isinstance(error, cli_errors.RemoteRefused):
        return ""
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"docker login, with an account that may do this on {error.remote}; trust doctor NAME says what is wrong"
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        return f"use a faster line, or ask the operator of {error.remote} to allow slower uploads"
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "give the repository several names, each with fewer tags and signers"
    if error.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return f"ask the operator of {error.remote} to raise this limit; to wait does not help"
    return ""


def _renewal(error: Failure) -> str:
    """Return the advice for an expired role: ask the server's operator for an online role, a key holder for another.

    A wrong clock on this machine also makes an online role look expired, so the advice names it.
    """
    role = error.details().get("role")
    if role in ONLINE:
        return f"the server renews {role} by itself: tell its operator, and see that the clock here is right"
    return f"ask a holder of the {role} key for: trust renew NAME"


def _ways_out(error: Failure) -> str:
    """Return the two decisions that an owner may make about a stored file that nobody vouches for."""
    if not isinstance(error, errors.NotVouchedFor):
        return ""
    option = "--accept-expired" if isinstance(error, errors.ExpiredUnknown) else "--accept-unsigned"
    role = errors.shown(error.role)
    text = f"only if you know that exactly this content is right: {option} {role}@sha256:{error.sha256}"
    return f"{text}; to begin it without any tag: --start-empty {role}" if is_delegated(error.role) else text


def _which_root(error: Failure) -> str:
    """Return what to do about two different roots: ask the publisher, then replace the lock entry or the pin.

    If only the lock file knew the name, the server's root is the unexplained one.
    """
    if isinstance(error, errors.LockDisagrees) and not error.known_by:
        text = "only if the publisher confirms a new root: trust pin {gun} {known}, then trust lock --replace {gun}"
    else:
        text = (
            "ask the publisher which root is right; if the lock file is wrong: trust lock --replace {gun}; "
            "if what is known here is: trust pin {gun} {locked} --replace"
        )
    return _say(text)(error)


def _whose_root(error: Failure) -> str:
    """Return what to do about the root of another collection: most likely it is an attack, or the wrong server."""
    if not error.details().get("named"):
        return _say("do not use this image; tell the publisher of {gun}")(error)
    return _say(
        "see whether this is the right server (trust doctor {gun}); only if the publisher says that {gun} mirrors "
        "{named}: trust pin {gun} REF --named {named}"
    )(error)


def _pin_by_fingerprint(error: Failure) -> str:
    """Return what a user does about a pin by key alone; one of `pins.toml` is replaced, any other one is joined."""
    replace = " --replace" if str(error.details().get("pin_source", "")).endswith("pins.toml") else ""
    text = "compare the fingerprint with the publisher's, then: trust pin {gun} {found}" + replace
    return _say(f"{text}; its owner makes the root name it: trust key rotate root {{gun}}")(error)


_ROWS: Final[dict[type[Failure], Row]] = {
    errors.InvalidName: Row(status=USAGE),
    cli_errors.NoTrustServer: Row(status=USAGE),
    cli_errors.SettingsUnusable: Row(status=USAGE),
    cli_errors.FileExposed: Row(status=KEYS, advice=_say("{remedy}, after a look whether it is still what it was")),
    cli_errors.HookRequestMalformed: Row(
        status=USAGE, advice=_say("let containerd call the hook, through the file that trust hook containerd wrote")
    ),
    cli_errors.HookNotInstalled: Row(status=OTHER, advice=_say("put {place} right, then run the same command again")),
    cli_errors.VerdictTooLate: Row(
        status=UNREACHABLE,
        advice=_say("see that the trust server answers, or raise [verifier] timeout and per_verifier_timeout together"),
    ),
    errors.NoTrustData: Row(
        status=NOT_SIGNED,
        advice=_say("check name and server (trust doctor {gun}); its publisher begins with: trust init {gun}"),
    ),
    errors.NotSigned: Row(status=NOT_SIGNED, advice=_say("trust inspect --pretty {gun}")),
    cli_errors.ImageNotPushed: Row(
        status=REFUSED, advice=_say("docker push {image}, then sign it; or sign what the registry has, without --local")
    ),
    cli_errors.ImageNotFound: Row(status=NOT_SIGNED, advice=_say("check the name, or push the image first")),
    errors.Unpinned: Row(
        status=NOT_TRUSTED,
        advice=_say(
            "compare the fingerprint with the publisher's, then: trust pin {gun} {found} (or --tofu to trust it now)"
        ),
    ),
    errors.CertificateOfAnotherName: Row(
        status=NOT_TRUSTED,
        advice=_say("ask the publisher of {gun}: its root must be certified for this very name"),
    ),
    errors.RootOfAnotherName: Row(status=NOT_TRUSTED, advice=_whose_root),
    errors.RootNotNamed: Row(status=NOT_TRUSTED, advice=_pin_by_fingerprint),
    errors.RootNotPinned: Row(
        status=NOT_TRUSTED,
        advice=_say("only if the publisher confirms a new root: trust pin {gun} {found} --replace"),
    ),
    errors.PinsDisagree: Row(
        status=NOT_TRUSTED,
        advice=_say("ask the publisher which root is right; trust pins lists what is recorded here"),
    ),
    errors.LockDisagrees: Row(
        status=NOT_TRUSTED,
        advice=_which_root,
    ),
    errors.LockDamaged: Row(
        status=NOT_TRUSTED,
        advice=_say("restore {path} from version control (or finish the merge); only trust lock writes it"),
    ),
    errors.MetadataExpired: Row(
        status=NOT_TRUSTED,
        advice=_renewal,
    ),
    errors.LivesTooLong: Row(
        status=NOT_TRUSTED,
        advice=_say(
            "see that the clock here is right (trust doctor), then tell the server's operator; a repository of others "
            "that is meant to be so: max_life in policy or trust.toml"
        ),
    ),
    errors.VersionRollback: Row(
        status=NOT_TRUSTED,
        advice=_say(
            "do not use this server before its operator explains the older {role} "
            "(restored from a backup? docs/guides/restored-backup.md)"
        ),
    ),
    errors.ThresholdNotMet: Row(
        status=NOT_TRUSTED, advice=_say("do not use this image; ask the publisher who signed {role}")
    ),
    errors.NotVouchedFor: Row(status=NOT_TRUSTED, advice=_ways_out),
    errors.TrustDataWithheld: Row(
        status=NOT_TRUSTED,
        advice=_say("see whether this is the right server (trust doctor {gun}), then ask its operator"),
    ),
    errors.CollectionDeleted: Row(
        status=NOT_TRUSTED, advice=_say("if the publisher started anew: trust pin {gun} REF --replace")
    ),
    cli_errors.OfflineTooOld: Row(status=NOT_TRUSTED, advice=_say("verify once without --offline")),
    errors.TagMismatch: Row(
        status=NOT_TRUSTED,
        advice=_say("do not use this image; trust explain {gun}:{tag} says who signed what"),
    ),
    errors.NotTrusted: Row(status=NOT_TRUSTED, advice=_say("do not use this image; tell the publisher")),
    errors.MalformedMetadata: Row(status=NOT_TRUSTED, advice=_say("do not use this image; tell the server's operator")),
    errors.MemoryDamaged: Row(
        status=NOT_TRUSTED,
        advice=_say("restore {path} from a backup; to remove it is to give up rollback protection"),
    ),
    errors.TooLarge: Row(status=NOT_TRUSTED),
    errors.PolicyRefused: Row(status=POLICY, advice=_say("trust explain {name} says who has signed what")),
    errors.PolicyMalformed: Row(status=POLICY),
    cli_errors.TagChanged: Row(status=REFUSED, advice=_say("trust inspect --pretty {gun}:{tag}")),
    errors.CollectionExists: Row(status=REFUSED, advice=_say("trust pins, to see what is known here")),
    errors.PublishRefused: Row(status=REFUSED, advice=_say("trust inspect --pretty NAME shows roles and signers")),
    errors.WouldBreakRole: Row(
        status=REFUSED,
        advice=_say("publish {role} again in the same step, or give a new signer a name that was never used"),
    ),
    errors.VersionConflict: Row(status=REFUSED, advice=_say("run the same command again: other publishers are busy")),
    cli_errors.RemoteRefused: Row(status=REFUSED, advice=_after_refusal),
    cli_errors.RemoteUnreachable: Row(
        status=UNREACHABLE,
        advice=_say(
            "check the address (--server, TRUST_SERVER, trust.toml; else the registry's host), --cacert, the network"
        ),
    ),
    cli_errors.RemoteFull: Row(
        status=UNREACHABLE,
        advice=_say("tell the operator of {remote}; when there is space again, run the same command again"),
    ),
    cli_errors.RemoteBusy: Row(
        status=UNREACHABLE,
        advice=_say(
            "run the same command again after {seconds} s; if the server stays busy, tell the operator of {remote}"
        ),
    ),
    cli_errors.RemoteClockJumped: Row(
        status=UNREACHABLE,
        advice=_say("tell the operator of {remote}; when its clock is right, run the same command again"),
    ),
    cli_errors.CertificateRefused: Row(
        status=UNREACHABLE,
        advice=_say(
            "a private CA: --cacert FILE or TRUST_CACERT, or its file where it is looked for; "
            "else tell the operator of {remote}"
        ),
    ),
    cli_errors.ProxyRefused: Row(
        status=UNREACHABLE,
        advice=_say("put user and password of the proxy into its variable (HTTPS_PROXY), or the host into NO_PROXY"),
    ),
    cli_errors.EngineUnreachable: Row(
        status=UNREACHABLE,
        advice=_say("start the engine, or name it in DOCKER_HOST; signing without --local asks the registry instead"),
    ),
    cli_errors.RemoteMisbehaved: Row(status=UNREACHABLE, advice=_say("check that {remote} is what it should be")),
    errors.TrustError: Row(status=OTHER),
    PassphraseMissing: Row(status=KEYS),
    PassphraseWrong: Row(
        status=KEYS, advice=_say("look for another passphrase in TRUST_*_PASSPHRASE, or unset it to be asked")
    ),
    KeyNotFound: Row(status=KEYS, advice=_say("trust key list; a recovery key is brought by --recovery-key FILE")),
    KeyNotAuthorised: Row(
        status=KEYS,
        advice=_say("ask an owner to let a key of yours in: trust signer add --key YOURS.pub YOU NAME"),
    ),
    KeyFileExposed: Row(status=KEYS),  # the sentence has the command that puts it right
    KeyFileMissing: Row(status=KEYS, advice=_say("check the path")),
    KeyFileUnreadable: Row(status=KEYS, advice=_say("check who may read {place}")),
    KeyFileUnwritable: Row(status=KEYS, advice=_say("name another file, or make its folder writable")),
    KeyStoreUnreadable: Row(status=KEYS, advice=_say("check who owns {path}, and its mode")),
    KeyStoreUnwritable: Row(status=KEYS, advice=_say("check who may write to {path}, and the space on its disk")),
    KeysError: Row(status=KEYS, advice=_say("trust key list")),
    UsageError: Row(status=USAGE, advice=_help_command),
}


def row_for(error: Failure) -> Row:
    """Return the table row of the error's class, or of its nearest base class."""
    for kind in type(error).__mro__:
        if kind in _ROWS:
            return _ROWS[kind]
    return Row(status=OTHER)

"""The table of failures: exit status and advice for each class of errors. The sentence is the error's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from keys.backup.errors import SharesUnsupported
from keys.errors import (
    KeyAmbiguous,
    KeyEncryptionUnknown,
    KeyExists,
    KeyFileExposed,
    KeyFileMalformed,
    KeyFileMissing,
    KeyFileNewer,
    KeyFileUnreadable,
    KeyFileUnwritable,
    KeyIsPrivate,
    KeyNotAuthorised,
    KeyNotFound,
    KeysError,
    KeyStoreUnreadable,
    KeyStoreUnwritable,
    KeySupportMissing,
    KeyUriMalformed,
    PassphraseMissing,
    PassphraseWrong,
)
from keys.record import record
from trustcli import errors as cli_errors
from trustcli.console import token_advice
from trustcli.console.access_advice import advice_no_access
from trustcli.console.address_advice import address_without_path, advice_invalid_name, host_and_port
from trustcli.console.certificate_advice import advice_certificate
from trustcli.console.clock_advice import ADVICE_NOT_VALID_NOW, ADVICE_TOO_LONG, advice_other_time
from trustcli.console.exit_codes import KEYS, NOT_SIGNED, NOT_TRUSTED, OTHER, POLICY, REFUSED, UNREACHABLE, USAGE
from trustcli.console.owner_advice import advice_content_unseen, advice_not_vouched_for
from trustcli.console.policy_advice import advice_policy_refused
from trustcli.errors import UsageError
from trustcli.late_verdict import ADVICE as LATE_ADVICE
from trustdata import errors
from trustdata.roles import ONLINE
from trustdata.wire.format_names import NOTARY_V1

_SEVERAL_NAMES: Final = "give the repository several names, each with fewer tags and signers"

Failure = errors.TrustError | KeysError | UsageError
"""Everything that a command fails with on purpose; any other exception is a fault of the program."""


@record
class Row:
    """The exit status of one class of errors. `advice`: returns the command to try next, or "" if there is none."""

    status: int
    advice: Callable[[Failure], str] = lambda _: ""


def _template(text: str) -> Callable[[Failure], str]:
    """Return an advice function that fills the error's fields into the text."""

    def advice(error: Failure) -> str:
        values = {name: str(value) for name, value in error.details().items()}
        return text.format(**values)

    return advice


def _name(error: Failure) -> str:
    return error.about or "NAME"


def _advice_help_command(error: Failure) -> str:
    return error.help_command if isinstance(error, UsageError) else ""


def _advice_invalid_name(error: Failure) -> str:
    return advice_invalid_name(error) if isinstance(error, errors.InvalidName) else ""


def _advice_unreachable(error: Failure) -> str:
    if named_by := error.details().get("named_by"):
        remote = error.details()["remote"]
        return f"check the network and the proxy variables; if {remote} is no address, tell the operator of {named_by}"
    return (
        "check the address (a trust server: --server, TRUST_SERVER, trust.toml, else the registry's host; a registry: "
        "the name of the image), --cacert, the network"
    )


def _advice_remote_refused(error: Failure) -> str:
    """Return what helps against the refusal of a server.

    Logging in as someone else helps only for 401 and 403.
    """
    if not isinstance(error, cli_errors.RemoteRefused):
        return ""
    if error.page and error.status != HTTPStatus.UNAUTHORIZED:
        return _advice_page(error)
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return advice_no_access(error)
    advice: dict[int, str] = {
        HTTPStatus.REQUEST_TIMEOUT: f"use a faster connection, or ask the operator of {error.remote} to allow slower "
        "uploads",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _SEVERAL_NAMES,
        HTTPStatus.INSUFFICIENT_STORAGE: f"ask the operator of {error.remote} to raise this limit; waiting will not "
        "help",
    }
    shorter = address_without_path(error.remote) if error.status == HTTPStatus.BAD_REQUEST else ""
    return (
        f"see whether the path belongs to the address; without it: {shorter}"
        if shorter
        else advice.get(error.status, "") or advice_other_time(error.server_code)
    )


def _advice_page(error: cli_errors.RemoteRefused) -> str:
    """Return what helps against a refusal on a page for people: of a proxy, or of a server of another kind."""
    if wants_client_certificate(error):
        return advice_client_certificate(error.remote)
    if wants_https(error):
        return f"write https:// in place of http://: {error.remote.replace('http://', 'https://', 1)}"
    if error.status == HTTPStatus.NOT_FOUND:
        shorter = address_without_path(error.remote)
        path = f", and whether the path belongs to it (without it: {shorter})" if shorter else ""
        right = f"see whether the address is right (trust doctor {_name(error)}){path}"
        return f"{right}, then ask the operator of {error.remote}"
    return f"ask the operator of {error.remote}, or of the proxy before it, what refuses this request"


def _advice_busy(error: Failure) -> str:
    """Return when to ask a busy server again, if it has said so."""
    if not isinstance(error, cli_errors.RemoteBusy):
        return ""
    when = f"after {error.seconds} s" if error.seconds else "later"
    return f"run the same command again {when}; if it stays busy, tell the operator of {error.remote}"


def advice_client_certificate(remote: str, *, folder: str = "", settings: str = "trust.toml") -> str:
    """Return where a client certificate is put. `folder`: Docker's, if it is known."""
    place = f"{folder or '~/.docker'}/tls/{host_and_port(remote)}/"
    below = "" if folder else " (where DOCKER_CONFIG is set: below that folder)"
    return (
        f"put certificate and key into {place} as client.cert and client.key{below}, or name them under [tls] in "
        f"{settings}; the operator of {remote} says which it takes"
    )


def wants_client_certificate(error: Failure) -> bool:
    """Return whether a server, or the proxy before it, refuses for lack of a client certificate."""
    refused = isinstance(error, cli_errors.RemoteRefused) and error.page and error.status == HTTPStatus.BAD_REQUEST
    return refused and "SSL certificate" in str(error)  # nginx's words


def wants_https(error: Failure) -> bool:
    """Return whether a server refuses because it was spoken to without TLS at a port for TLS."""
    refused = isinstance(error, cli_errors.RemoteRefused) and error.page and error.status == HTTPStatus.BAD_REQUEST
    said = str(error)
    return refused and ("HTTPS port" in said or "HTTPS server" in said)  # the words of nginx, and of Go and Apache


def _advice_certificate(error: Failure) -> str:
    return advice_certificate(str(error.details().get("remote", "")), str(error))


def _advice_expired(error: Failure) -> str:
    """Return who renews an expired role: the server's operator an online role, a key holder any other.

    A wrong clock on this machine also makes an online role look expired, so the advice names it.
    """
    role = error.details().get("role")
    if role in ONLINE:
        return f"the server renews {role} by itself: tell its operator, and see that the clock here is right"
    return f"ask a holder of the {role} key for: trust renew {_name(error)}"


def _advice_lock_disagrees(error: Failure) -> str:
    """Return what to do about two different roots: ask the publisher, then replace the lock entry or the pin.

    If only the lock file knew the name, the publisher must confirm the server's root; else one of the two that are
    recorded here is wrong.
    """
    if isinstance(error, errors.LockDisagrees) and not error.known_by:
        text = "only if the publisher confirms a new root: trust pin {gun} {known}, then trust lock --replace {gun}"
    else:
        text = (
            "ask the publisher which root is right; if the lock file is wrong: trust lock --replace {gun}; "
            "if what is known here is: trust pin {gun} {locked} --replace"
        )
    return _template(text)(error)


def _advice_other_collection(error: Failure) -> str:
    """Return what to do about the root of another collection: most likely it is an attack, or the wrong server.

    A root that no longer names any collection (`named` is empty) leaves nothing to pin it as.
    """
    if not error.details().get("named"):
        return _template("do not use this image; tell the publisher of {gun}")(error)
    return _template(
        "see whether this is the right server (trust doctor {gun}); only if the publisher says that {gun} mirrors "
        "{named}: trust pin {gun} REF --named {named}"
    )(error)


def _advice_no_such_key(error: Failure) -> str:
    """Return where other keys come from: those that somebody named may lie in files."""
    if error.details().get("named"):
        return "trust key list; a key in a file is brought by trust key import FILE"
    return "run it where such a key is, or bring one: trust key import FILE (key rotate root: --recovery-key FILE)"


def _advice_not_authorised(error: Failure) -> str:
    """Return how one becomes a signer: with a key that is here, or else with one that is brought or made first."""
    add = f"trust signer add --key YOURS.pub YOU {_name(error)}"
    if isinstance(error, KeyNotFound) and error.store_is_empty:
        return (
            f"bring your key: trust key import FILE; or make one (trust key generate YOU), and ask an owner for: {add}"
        )
    return f"ask an owner to add your key as a signer: {add}"


def _advice_format_changed(error: Failure) -> str:
    """Return how a collection is recorded in the other format, which is only right if the server has it so."""
    if not isinstance(error, errors.FormatChanged) or error.offered_by != "the server":
        return "trust pins lists what is recorded here"
    option = "notary" if error.offered == NOTARY_V1 else "tuf"
    return _template(f"if the publisher says that this is right: trust pin {{gun}} REF --replace --format {option}")(
        error
    )


def _advice_pins_disagree(error: Failure) -> str:
    """Return how what was typed takes the place of what is known here, or else where that is seen."""
    ask = "ask the publisher which root is right"
    if not isinstance(error, errors.PinsDisagree) or error.other_source != "the command line":
        return f"{ask}; trust pins lists what is recorded here"
    pin, _, named = error.other.partition(", named ")
    alias = f" --named {named}" if named else ""
    return f"{ask}; only if it is the one that you typed: trust pin {shlex.quote(error.gun)} {pin}{alias} --replace"


def advice_pinned_by_key(error: Failure, *, trust: str = "trust") -> str:
    """Return what a user does about a pin by key alone: pin the fingerprint of the root.

    It replaces a pin that is recorded in `pins.toml`, and joins one of the command line or of a policy. `trust`: how
    the command line begins.
    """
    if not isinstance(error, errors.RootNotNamed):
        return ""
    replace = " --replace" if error.pin_recorded else ""
    return (
        f"compare the fingerprint with the publisher's, then: {trust} pin {error.gun} {error.found}{replace}; "
        f"its owner makes the root name it: trust key rotate root {error.gun}"
    )


_ROWS: Final[dict[type[Failure], Row]] = {
    # 1: anything else
    errors.TrustError: Row(status=OTHER),
    cli_errors.HookNotInstalled: Row(
        status=OTHER, advice=_template("put {place} right, then run the same command again")
    ),
    # 2: what was typed or set cannot be used
    UsageError: Row(status=USAGE, advice=_advice_help_command),
    errors.InvalidName: Row(status=USAGE, advice=_advice_invalid_name),
    cli_errors.NoTrustServer: Row(status=USAGE),
    cli_errors.SettingsUnusable: Row(status=USAGE),
    cli_errors.HookRequestMalformed: Row(
        status=USAGE,
        advice=_template("let containerd call the hook, through the file that trust hook containerd wrote"),
    ),
    cli_errors.ReviewMalformed: Row(
        status=USAGE,
        advice=_template("let the API server call the webhook, with the rules of docs/deploy/kubernetes"),
    ),
    # 3: there is nothing signed
    errors.NoTrustData: Row(
        status=NOT_SIGNED,
        advice=_template("check name and server (trust doctor {gun}); its publisher begins with: trust init {gun}"),
    ),
    errors.NotSigned: Row(status=NOT_SIGNED, advice=_template("trust inspect --pretty {gun}")),
    # An image that is not there is not signed either: a script that asks for a signature need not tell the two apart.
    cli_errors.ImageNotFound: Row(status=NOT_SIGNED, advice=_template("check the name, or push the image first")),
    cli_errors.ContentUnknown: Row(status=NOT_SIGNED, advice=_template("start it from a registry, and scan again")),
    # 4: not trusted; first of all that the root is not the expected one
    errors.NotTrusted: Row(status=NOT_TRUSTED, advice=_template("do not use this image; tell the publisher")),
    errors.DigestDenied: Row(
        status=NOT_TRUSTED, advice=_template("do not run it; trust deny --list {denied_by} says what is denied")
    ),
    errors.Unpinned: Row(
        status=NOT_TRUSTED,
        advice=_template(
            "compare the fingerprint with the publisher's, then: trust pin {gun} {found} (or --tofu to trust it now)"
        ),
    ),
    errors.CertificateOfAnotherName: Row(
        status=NOT_TRUSTED,
        advice=_template("ask the publisher of {gun}: its root must be certified for this very name"),
    ),
    errors.CertificateNotValidNow: Row(status=NOT_TRUSTED, advice=_template(ADVICE_NOT_VALID_NOW)),
    errors.RootOfAnotherName: Row(status=NOT_TRUSTED, advice=_advice_other_collection),
    errors.RootNotNamed: Row(status=NOT_TRUSTED, advice=advice_pinned_by_key),
    errors.RootNotCertified: Row(
        status=NOT_TRUSTED,
        advice=_template("ask the publisher of {gun} which CA certifies its root; {pin_source} names {pin}"),
    ),
    errors.RootNotPinned: Row(
        status=NOT_TRUSTED,
        advice=_template("only if the publisher confirms a new root: trust pin {gun} {found} --replace"),
    ),
    errors.PinsDisagree: Row(status=NOT_TRUSTED, advice=_advice_pins_disagree),
    errors.LockDisagrees: Row(status=NOT_TRUSTED, advice=_advice_lock_disagrees),
    errors.FormatChanged: Row(status=NOT_TRUSTED, advice=_advice_format_changed),
    errors.CollectionDeleted: Row(
        status=NOT_TRUSTED, advice=_template("if the publisher started anew: trust pin {gun} REF --replace")
    ),
    # 4: too old, or for too long
    errors.MetadataExpired: Row(status=NOT_TRUSTED, advice=_advice_expired),
    errors.LivesTooLong: Row(status=NOT_TRUSTED, advice=_template(ADVICE_TOO_LONG)),
    errors.VersionRollback: Row(
        status=NOT_TRUSTED,
        advice=_template(
            "do not use this server before its operator explains the older {role} "
            "(restored from a backup? docs/guides/restored-backup.md)"
        ),
    ),
    cli_errors.OfflineTooOld: Row(status=NOT_TRUSTED, advice=_template("verify once without --offline")),
    # 4: what the server gives, or withholds
    errors.ThresholdNotMet: Row(
        status=NOT_TRUSTED, advice=_template("do not use this image; ask the publisher who signed {role}")
    ),
    errors.StrongKeysMissing: Row(
        status=NOT_TRUSTED, advice=_template("do not use this image; ask the publisher for a role of strong keys")
    ),
    errors.NotVouchedFor: Row(status=NOT_TRUSTED, advice=advice_not_vouched_for),
    errors.TagMismatch: Row(
        status=NOT_TRUSTED,
        advice=_template("do not use this image; trust explain {gun}:{tag} says who signed what"),
    ),
    errors.TargetUnusable: Row(
        status=NOT_TRUSTED, advice=_template("ask the publisher to sign {target} again, with its sha256 and its size")
    ),
    errors.TrustDataWithheld: Row(
        status=NOT_TRUSTED,
        advice=_template("see whether this is the right server (trust doctor {gun}), then ask its operator"),
    ),
    errors.MalformedMetadata: Row(
        status=NOT_TRUSTED, advice=_template("do not use this image; tell the server's operator")
    ),
    errors.TooLarge: Row(
        status=NOT_TRUSTED,
        advice=_template(f"if a server sent it, tell its operator; if it is your own, {_SEVERAL_NAMES}"),
    ),
    # 4: what is remembered here
    errors.MemoryDamaged: Row(
        status=NOT_TRUSTED,
        advice=_template("restore {path} from a backup; removing it gives up rollback protection"),
    ),
    cli_errors.MemoryUnwritable: Row(status=OTHER, advice=_template("see who may write there; another place: --home")),
    errors.MemoryUnreadable: Row(
        status=NOT_TRUSTED, advice=_template("see who owns {path}, and its mode; do not remove it")
    ),
    errors.LockDamaged: Row(
        status=NOT_TRUSTED,
        advice=_template("restore {path} from version control (or finish the merge); only trust lock writes it"),
    ),
    # 1: nothing is wrong with it; only this program is too old
    errors.FileNewer: Row(
        status=OTHER, advice=_template("use the version of trust that wrote {path}, or a newer one; it was not changed")
    ),
    # 5: trusted, but a policy wants more
    errors.PolicyRefused: Row(status=POLICY, advice=advice_policy_refused),
    errors.PolicyMalformed: Row(status=POLICY),
    cli_errors.PolicyNotObtained: Row(
        status=POLICY, advice=_template("trust policy check FILE, with the local policy, says when it is there again")
    ),
    # 6: somebody cannot be reached, or gives no answer that can be used
    cli_errors.RemoteUnreachable: Row(status=UNREACHABLE, advice=_advice_unreachable),
    cli_errors.RemoteFailing: Row(
        status=UNREACHABLE,
        advice=_template("run the same command again later; if it goes on, tell the operator of {remote}"),
    ),
    cli_errors.RemoteFull: Row(
        status=UNREACHABLE,
        advice=_template("tell the operator of {remote}; when there is space again, run the same command again"),
    ),
    cli_errors.OutOfConnections: Row(
        status=UNREACHABLE, advice=_template("raise the limit of open files (ulimit -n; LimitNOFILE of a systemd unit)")
    ),
    cli_errors.RemoteBusy: Row(status=UNREACHABLE, advice=_advice_busy),
    cli_errors.RemoteClockJumped: Row(
        status=UNREACHABLE,
        advice=_template("tell the operator of {remote}; when its clock is right, run the same command again"),
    ),
    cli_errors.CertificateRefused: Row(status=UNREACHABLE, advice=_advice_certificate),
    cli_errors.ClientCertificateWanted: Row(
        status=UNREACHABLE, advice=lambda error: advice_client_certificate(str(error.details().get("remote", "")))
    ),
    cli_errors.ProxyRefused: Row(
        status=UNREACHABLE,
        advice=_template(
            "put user and password of the proxy into its variable (HTTPS_PROXY), or the host into NO_PROXY"
        ),
    ),
    cli_errors.EngineUnreachable: Row(
        status=UNREACHABLE,
        advice=_template(
            "start the engine, or name it in DOCKER_HOST; without one, trust sign without --local asks the registry, "
            "trust verify prints name@digest for another program to pull, and trust scan reads --pods and --crictl FILE"
        ),
    ),
    cli_errors.RemoteMisbehaved: Row(
        status=UNREACHABLE, advice=_template("check that {remote} is the server that you mean, and tell its operator")
    ),
    cli_errors.VerifierBusy: Row(
        status=UNREACHABLE, advice=_template("try again in some seconds; its metrics say what it does")
    ),
    cli_errors.VerdictTooLate: Row(status=UNREACHABLE, advice=_template(LATE_ADVICE)),
    # 7: a server refuses, or what is there is not what the command began with
    cli_errors.RemoteRefused: Row(status=REFUSED, advice=_advice_remote_refused),
    errors.CollectionExists: Row(status=REFUSED, advice=_template("trust pins lists what is known here")),
    errors.PublishRefused: Row(
        status=REFUSED, advice=lambda error: f"trust inspect --pretty {_name(error)} shows roles and signers"
    ),
    errors.WouldBreakRole: Row(
        status=REFUSED,
        advice=_template("publish {role} again in the same step, or give a new signer a name that was never used"),
    ),
    errors.VersionConflict: Row(
        status=REFUSED, advice=_template("run the same command again: other publishers are busy")
    ),
    errors.ContentUnseen: Row(status=REFUSED, advice=advice_content_unseen),
    cli_errors.PlanChanged: Row(status=REFUSED, advice=_template("look at --plan again, then run the same command")),
    cli_errors.BulkRunning: Row(status=OTHER, advice=_template("when it has ended, run the same command again")),
    cli_errors.KeyCompromised: Row(status=KEYS, advice=token_advice.advice_key_compromised),
    cli_errors.TagChanged: Row(status=REFUSED, advice=_template("trust inspect --pretty {gun}:{tag}")),
    # As TagChanged, in the registry: somebody else has moved the tag, and signing would have said what was not meant.
    cli_errors.ImageNotPushed: Row(
        status=REFUSED,
        advice=_template("docker push {image}, then sign it; or sign what the registry has, without --local"),
    ),
    # 8: keys and passphrases, and files that decide what is trusted
    KeysError: Row(status=KEYS),
    KeyAmbiguous: Row(status=KEYS, advice=_template("trust key list")),
    KeyExists: Row(status=KEYS, advice=token_advice.advice_key_exists),
    KeyFileMalformed: Row(status=KEYS, advice=_template("{command}")),
    SharesUnsupported: Row(status=KEYS, advice=token_advice.advice_library_missing),
    KeySupportMissing: Row(status=KEYS, advice=token_advice.advice_library_missing),
    KeyEncryptionUnknown: Row(
        status=KEYS,
        advice=_template(
            "encrypt it anew: openssl pkey -provider legacy -provider default -in FILE -aes256 -out NEW.pem; "
            "then import that file"
        ),
    ),
    KeyIsPrivate: Row(
        status=KEYS,
        advice=_template("ask its holder for the public key: trust key export KEY --public, or openssl pkey -pubout"),
    ),
    KeyNotFound: Row(status=KEYS, advice=_advice_no_such_key),
    KeyNotAuthorised: Row(status=KEYS, advice=_advice_not_authorised),
    KeyFileNewer: Row(
        status=KEYS,
        advice=_template("use the version of trust that wrote {place}, or a newer one; it was not changed"),
    ),
    KeyFileMissing: Row(status=KEYS, advice=_template("check the path")),
    KeyFileUnreadable: Row(status=KEYS, advice=_template("check who may read {place}")),
    KeyFileUnwritable: Row(status=KEYS, advice=_template("name another file, or make its folder writable")),
    KeyFileExposed: Row(status=KEYS),  # the sentence has the command that puts it right
    KeyStoreUnreadable: Row(status=KEYS, advice=_template("check who owns {path}, and its mode")),
    KeyStoreUnwritable: Row(status=KEYS, advice=_template("check who may write to {path}, and the space on its disk")),
    **{kind: Row(status=KEYS, advice=_template(text)) for kind, text in token_advice.ADVICE.items()},
    KeyUriMalformed: Row(status=KEYS, advice=lambda error: token_advice.advice_key_uri(error.details().get("form"))),
    PassphraseMissing: Row(status=KEYS),
    PassphraseWrong: Row(
        status=KEYS, advice=_template("look for another passphrase in TRUST_*_PASSPHRASE, or unset it to be asked")
    ),
    # Also where the file is a policy and no key: access to files of this machine is put right in one way.
    cli_errors.FileExposed: Row(status=KEYS, advice=_template("check that its content is unchanged, then: {remedy}")),
}


def row_for(error: Failure) -> Row:
    """Return the table row of the error's class, or of its nearest base class."""
    for kind in type(error).__mro__:
        if kind in _ROWS:
            return _ROWS[kind]
    return Row(status=OTHER)

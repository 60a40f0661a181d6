"""Errors that only the command line and its hooks raise, sorted by who must act. All others are in trustdata/errors.py.

TrustError
├── NotTrusted
│   └── OfflineTooOld            the last refresh is too long ago, or the clock went back
├── TagChanged               another publisher changed the tag at the same time
├── RemoteUnreachable        the network, or the operator of the server
│   ├── RemoteFailing            the operator of the server, or of a proxy before it: an answer 5xx
│   ├── RemoteFull               the operator of the server: its disk is full
│   ├── OutOfConnections         the operator of this machine: this program may open no more connections
│   ├── RemoteBusy               nobody: the server has too much to do; send the request again later
│   ├── RemoteClockJumped        the operator of the server: it signs nothing, since its clock jumped forward
│   ├── CertificateRefused       the user (a private CA) or the operator: a TLS certificate is not accepted
│   ├── ClientCertificateWanted  the user: the server asks for a client certificate, or refuses the one that is here
│   ├── ProxyRefused             the operator of the network: a proxy refuses the connection
│   └── EngineUnreachable        the user: no container engine runs here
├── RemoteRefused            the user: credentials or rights are missing
├── RemoteMisbehaved         the operator of the server: a response that breaks the protocol
├── ImageNotFound            the registry has no such repository, tag or digest
│   └── TagUnknown               the registry has the repository, and no such tag or digest
├── ImageNotPushed           the registry has other content under the tag than the engine
├── ImageNotSupported        the registry's image is of a kind that cannot be signed
├── FileExposed              the user: others may change a file that decides what is trusted
├── SettingsUnusable         the user: a settings file, variable or option cannot be used
├── HookRequestMalformed     the container runtime: a request that the hook cannot judge
├── ReviewMalformed          whoever calls the admission webhook: no review, or one that cannot be judged
├── HookNotInstalled         a hook could not be installed
├── VerdictTooLate           a hook had no verdict when its time ended
├── VerifierBusy             a resident hook has too much to do
├── NoTrustServer            the user: no trust server is known for this name
├── BulkRunning              the user: another run over many collections is at work with this folder
├── PlanChanged              somebody else: a collection is no longer as it was when what is to be done was shown
├── KeyCompromised           the user: a key that was removed as compromised is named as a new one
└── MemoryUnwritable         rollback memory, pins or cache cannot be written

UsageError                   the user: a command line that says nothing, or something else than was meant
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from keys.error_record import ErrorRecord
from keys.record import record
from trustcli.late_verdict import late_sentence
from trustdata.errors import NotTrusted, TrustError, shown

OF_CERTIFICATE: Final = "the client certificate "
"""How trust servers begin the reason of a refusal that is about the client certificate."""
_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


class OfflineTooOld(NotTrusted):
    """The stored data is too old for a verdict without the server. `reason` names the limit."""

    code: ClassVar[str] = "offline-too-old"
    gun: str
    reason: str

    def __str__(self) -> str:
        return f"{self.gun} cannot be judged offline: {self.reason}"


class PolicyNotObtained(TrustError):
    """The policy that a local file says is distributed cannot be had, so nothing is allowed.

    `name`: `NAME:TAG`. `reason`: why, and why no older copy counts.
    """

    code: ClassVar[str] = "policy-not-obtained"
    name: str
    reason: str

    def __str__(self) -> str:
        return f"the distributed policy {shown(self.name, 400)} cannot be had: {shown(self.reason, 600)}"


class DenyListNotObtained(PolicyNotObtained):
    """The list of denied digests that a policy names cannot be had, so nothing is allowed. `name`: its collection."""

    code: ClassVar[str] = "deny-list-not-obtained"

    def __str__(self) -> str:
        return f"the denied digests of {shown(self.name, 400)} cannot be had: {shown(self.reason, 600)}"


class TagChanged(TrustError):
    """Another publisher changed the tag while we were signing. `ours`, `theirs`: `sha256:HEX` or `nothing`."""

    code: ClassVar[str] = "tag-changed"
    gun: str
    tag: str
    ours: str
    theirs: str
    their_signers: tuple[str, ...] = ()
    our_signers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.gun}:{self.tag} was changed meanwhile: it is now {self.theirs} "
            f"(by {', '.join(map(shown, self.their_signers)) or 'the repository key'}), we wanted {self.ours} "
            f"(by {', '.join(map(shown, self.our_signers)) or 'the repository key'})"
        )


class RemoteUnreachable(TrustError):
    """A server cannot be reached: network, DNS, TLS, or a 5xx response. `remote`: scheme, host and port.

    `named_by`: the server that names this one as its token server, so that the user has not chosen the address; "" if
    nobody does.
    """

    code: ClassVar[str] = "remote-unreachable"
    remote: str
    reason: str
    named_by: str = ""

    def __str__(self) -> str:
        named = f"; it is the token server that {self.named_by} names" if self.named_by else ""
        return f"{self.remote} cannot be reached: {shown(self.reason, 600)}{named}"


class RemoteFailing(RemoteUnreachable):
    """The server, or a proxy before it, was reached and fails. `status`: its answer, 500 and above."""

    code: ClassVar[str] = "remote-failing"
    status: int

    def __str__(self) -> str:
        return f"{self.remote} fails: {shown(self.reason, 600)}"


class RemoteFull(RemoteUnreachable):
    """The server has no disk space left (507) and has stored nothing."""

    code: ClassVar[str] = "remote-full"

    def __str__(self) -> str:
        return f"{self.remote} has no space left on its disk and changed nothing ({shown(self.reason, 300)})"


class OutOfConnections(RemoteUnreachable):
    """This program may open no more files, of which each connection is one: that says nothing about the server."""

    code: ClassVar[str] = "out-of-connections"

    def __str__(self) -> str:
        return f"{self.remote} cannot be asked, since this program may open no more files: {shown(self.reason, 300)}"


class RemoteBusy(RemoteUnreachable):
    """The server turns the request away for now (429 or 503).

    `seconds`: after how many to send it again; 0 if it does not say.
    """

    code: ClassVar[str] = "remote-busy"
    status: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.remote} is busy ({self.status}): {shown(self.reason, 600)}"


class RemoteClockJumped(RemoteUnreachable):
    """The server signs nothing, because its clock has jumped forward (503). It has stored nothing; reads go on."""

    code: ClassVar[str] = "remote-clock-jumped"

    def __str__(self) -> str:
        return f"{self.remote} has changed nothing: {shown(self.reason, 600)}"


class CertificateRefused(RemoteUnreachable):
    """The TLS certificate of the server is not signed by a trusted CA, or is not valid for this host or time."""

    code: ClassVar[str] = "certificate-refused"


class ClientCertificateWanted(RemoteUnreachable):
    """The server asks for a client certificate and there is none, or it refuses the one that is here."""

    code: ClassVar[str] = "client-certificate-wanted"


class ProxyRefused(RemoteUnreachable):
    """A proxy requires credentials or refuses the connection to the server."""

    code: ClassVar[str] = "proxy-refused"


class EngineUnreachable(RemoteUnreachable):
    """No container engine responds at the configured address."""

    code: ClassVar[str] = "engine-unreachable"


class RemoteRefused(TrustError):
    """A server refuses the request, because of rights or of its form. `status`: the HTTP status, such as 401 or 403.

    `page`: whether the answer is a page for people, as a proxy before the server sends. `login`: the command with which
    one logs in there, empty if no login would help; it only chooses the advice.
    """

    code: ClassVar[str] = "remote-refused"
    remote: str
    status: int
    reason: str
    server_code: str = ""
    server_details: Mapping[str, object] = _NO_DETAILS
    page: bool = False
    login: str = "docker login"

    def details(self) -> dict[str, object]:
        """Return the fields without `login`, which the advice says."""
        return {name: value for name, value in super().details().items() if name != "login"}

    def __str__(self) -> str:
        return f"{self.remote} refused ({self.status}): {shown(self.reason, 600)}"


class RemoteMisbehaved(TrustError):
    """A server sends a response that cannot be used: a redirect loop, a truncated body, or nonsense."""

    code: ClassVar[str] = "remote-misbehaved"
    remote: str
    reason: str

    def __str__(self) -> str:
        return f"{self.remote} gave an answer that cannot be used: {shown(self.reason, 300)}"


class ImageNotFound(TrustError):
    """The registry has no such repository, tag or digest, or hides it from this user."""

    code: ClassVar[str] = "image-not-found"
    image: str
    registry: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.image, 400)} does not exist in {self.registry}: {shown(self.reason, 400)}"


class TagUnknown(ImageNotFound):
    """The registry has the repository, and says in its own words that it has no such tag or digest."""


class ImageNotPushed(TrustError):
    """The registry has other content under the tag than the container engine has pushed or pulled.

    `found`: the registry's digest. `digests`: the engine's digests in this repository.
    """

    code: ClassVar[str] = "image-not-pushed"
    image: str
    found: str
    engine: str
    digests: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(shown(digest) for digest in self.digests)
        return (
            f"the registry has {shown(self.image, 400)} as {shown(self.found)}, and {self.engine} has pushed or pulled "
            f"its image as {known}"
        )


class ContentUnknown(TrustError):
    """A container runs, and nobody says which manifest its image came from. `reason`: why."""

    code: ClassVar[str] = "content-unknown"
    container: str
    image: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.container, 200)} ({shown(self.image, 200)}) cannot be judged: {self.reason}"


class ImageNotSupported(TrustError):
    """The registry has the image, but it is of a kind that cannot be signed by digest."""

    code: ClassVar[str] = "image-not-supported"
    image: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.image, 400)} cannot be signed: {shown(self.reason, 300)}"


class SettingsUnusable(TrustError):
    """A setting cannot be used. `place`: a file, an environment variable, an option, or a configured program."""

    code: ClassVar[str] = "settings-unusable"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.place)} cannot be used: {shown(self.reason, 300)}"


class FileExposed(TrustError):
    """Others may change a file that decides what is trusted: pins, rollback memory, policy, settings.

    `path`: the file, or the folder that it lies in. `mode`: octal text. `remedy`: the command that puts it right.
    """

    code: ClassVar[str] = "file-exposed"
    path: str
    mode: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{shown(self.path, 300)} {self.reason}: it cannot decide what is trusted"


class HookRequestMalformed(TrustError):
    """The container runtime sent a request that is not valid. `place`: an argument, or the standard input.

    `beginning`: of the sentence, by which `trust doctor containerd` knows the refusal of a hook that it calls.
    """

    code: ClassVar[str] = "hook-request-malformed"
    beginning: ClassVar[str] = "the request cannot be judged"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.beginning}: {shown(self.place)} {shown(self.reason, 300)}"


class ReviewMalformed(TrustError):
    """The admission webhook got no AdmissionReview, or one that it cannot judge. `place`: a member of the review."""

    code: ClassVar[str] = "review-malformed"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"the review cannot be judged: {shown(self.place, 300)} {shown(self.reason, 300)}"


class HookNotInstalled(TrustError):
    """A hook could not be installed. `place`: the folder or file that prevents it."""

    code: ClassVar[str] = "hook-not-installed"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"nothing was put into {shown(self.place)}: {shown(self.reason, 300)}"


class VerdictTooLate(TrustError):
    """A hook has no verdict within its time limit, which is shorter than its caller's. `doing`: the slow step."""

    code: ClassVar[str] = "verdict-too-late"
    seconds: int
    doing: str

    def __str__(self) -> str:
        return late_sentence(self.seconds, shown(self.doing, 300))


class VerifierBusy(TrustError):
    """A resident hook has too much to do, or is about to stop. `waiting`: how many collections wait for their turn."""

    code: ClassVar[str] = "verifier-busy"
    waiting: int

    def __str__(self) -> str:
        if not self.waiting:
            return "the verifier is stopping"
        return f"the verifier has too much to do: {self.waiting} collections wait for their trust servers"


class NoTrustServer(TrustError):
    """No trust server is known for the registry. `settings`: the file whose section `[servers]` can name one.

    `unpinned`: its host would be asked if anything pinned the name.
    """

    code: ClassVar[str] = "no-trust-server"
    gun: str
    registry: str
    settings: str
    unpinned: bool = False

    def __str__(self) -> str:
        if self.unpinned:
            return (
                f"no trust server is known for {self.gun}: nothing pins this name, and {self.registry} is not asked "
                f"only because an image names it; pin the name, or name a server under [servers] in {self.settings}"
            )
        return (
            f"no trust server is known for {self.gun}: {self.registry} has no default; give --server URL or "
            f"TRUST_SERVER, or name one for {self.registry} under [servers] in {self.settings}"
        )


class MemoryUnwritable(TrustError):
    """The rollback memory, the pins or the cache cannot be written. `path`: the file."""

    code: ClassVar[str] = "memory-unwritable"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be written: {self.reason}"


class BulkRunning(TrustError):
    """Another run over many collections is at work with this TRUST_HOME. `what`: its command, without its names."""

    code: ClassVar[str] = "bulk-running"
    what: str
    begun: str
    process: int

    def __str__(self) -> str:
        what = f"trust {shown(self.what)}, begun at {shown(self.begun)} (process {self.process})"
        return f"another run over many collections is at work here: {what}; nothing was sent"


class PlanChanged(TrustError):
    """A collection has changed since its plan was made, and what would be sent now is not what was planned."""

    code: ClassVar[str] = "plan-changed"
    gun: str
    planned: str
    found: str

    def __str__(self) -> str:
        return (
            f"{self.gun} has changed since it was planned: what would be done now ({shown(self.found, 600)}) is not "
            f"what was planned ({shown(self.planned, 600)}); nothing was sent"
        )


class KeyCompromised(TrustError):
    """A key that was removed as compromised is to be a new one, or to sign. `since`: when that was recorded.

    `rule`: what is not done with it any more.
    """

    code: ClassVar[str] = "key-compromised"
    key: str
    since: str
    rule: str = "it is not put in place again"

    def __str__(self) -> str:
        return f"{shown(self.key)} was removed as compromised ({shown(self.since)}): {self.rule}"


@record
class BadLine:
    """A line of a file that cannot be used: its number from 1 on, what stands there, and why it cannot be used."""

    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class UsageError(ErrorRecord):
    """Refuse a command line. `reason`: what is wrong, or what to type; `help_command`: where it is explained.

    `lines`: each line of a file of names that is none.
    """

    code: ClassVar[str] = "usage"
    reason: str
    help_command: str = ""
    lines: tuple[BadLine, ...] = ()

    def __init__(self, reason: str, *, help_command: str = "", lines: tuple[BadLine, ...] = ()) -> None:
        super().__init__(reason=reason, help_command=help_command, lines=lines)

    def __str__(self) -> str:
        return self.reason

    def explained_by(self, help_command: str) -> UsageError:
        """Return the same refusal with the command that explains it, unless it has one."""
        return UsageError(self.reason, help_command=self.help_command or help_command, lines=self.lines)

    def details(self) -> dict[str, object]:
        """Return the lines of a file that are no names; of anything else the sentence says all."""
        lines = [{"line": bad.line, "text": bad.text, "reason": bad.reason} for bad in self.lines]
        return {"lines": lines} if lines else {}

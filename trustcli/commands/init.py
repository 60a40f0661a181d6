"""`trust init`: make a collection.

1. the recovery decision    a file, or none by name (PRODUCT decision 7)
2. keys                     root from the store or new, repository key new; snapshot and timestamp are the server's
3. root version 1           signed by the root key, and by the recovery key after its file was read back from disk:
                            that is the proof that the file works
4. publish, pin, verify     as a client
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from keys import recovery as recovery_file
from keys.algorithms import Algorithm
from keys.errors import KeyAmbiguous
from keys.key_info import KeyInfo, Purpose
from keys.material import generate
from keys.signers import FileSigner, signer_for
from trustcli.client.ports import Tombstone
from trustcli.collection import Collection
from trustcli.commands.keys_in_use import keys_in_use
from trustcli.exit_codes import DONE, UsageError
from trustcli.reference import parse_reference
from trustcli.session import Session
from trustdata.editing.repository_editor import EditTerms, new_collection
from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, RemoteUnreachable
from trustdata.expiry import TUF_LIFETIMES
from trustdata.gun import GUN
from trustdata.limits import MAX_ROOT
from trustdata.model import Signer
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.verification import checks
from trustdata.verification.trust_pinning import fingerprint

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The decision about a recovery root key: its file, or none."""

    file: Path | None


@app.command("init")
def command(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    recovery_key: Annotated[
        Path | None, typer.Option(help="Recovery root key: this file; made if it is not there.")
    ] = None,
    no_recovery_key: Annotated[
        bool, typer.Option("--no-recovery-key", help="Do without; a lost root key is then final.")
    ] = False,
    format_: Annotated[str, typer.Option("--format", help="Wire format: tuf.")] = "tuf",
    root_key: Annotated[
        list[str] | None, typer.Option(help="Root key in the store (id or name); may be repeated.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=1, help="How many root keys must sign a root.")] = 1,
) -> int:
    """Make a collection: root, targets, server-held snapshot and timestamp."""
    session: Session = ctx.obj
    if format_ == "notary":
        raise UsageError("--format notary is not built yet; collections are made in TUF 1.0 (--format tuf)")
    if format_ != "tuf":
        raise UsageError(f"--format {format_} is unknown; write tuf")
    reference = parse_reference(name)
    if reference.tag or reference.digest:
        raise UsageError(f"a collection is named without tag or digest: {reference.gun}")
    decision = decided(session, recovery_choice(recovery_key, none=no_recovery_key))
    pin = create(session, reference.gun, decision, root_keys=tuple(root_key or ()), threshold=threshold)
    session.output.result(pin)
    session.output.document({"gun": reference.gun, "pin": pin, "format": "tuf-1.0", "exit": DONE})
    return DONE


def recovery_choice(file: Path | None, *, none: bool) -> Recovery | None:
    """The decision on the command line, if there is one. Raises: UsageError."""
    if file is not None and none:
        raise UsageError("--recovery-key and --no-recovery-key contradict each other")
    return Recovery(file=file) if file is not None or none else None


def decided(session: Session, recovery: Recovery | None) -> Recovery:
    """The decision, asked for where somebody can be asked. Raises: UsageError."""
    if recovery is not None:
        return recovery
    if session.settings.non_interactive:
        raise UsageError("decide about the recovery key: --recovery-key FILE or --no-recovery-key")
    from trustcli.prompt import TerminalPrompt

    answer = TerminalPrompt().ask(
        "File of the recovery root key, which should not stay on this machine (empty: no recovery key): "
    )
    return Recovery(file=Path(answer).expanduser() if answer else None)


def confirm(session: Session, question: str) -> bool:
    """Ask; False where nobody can be asked."""
    if session.settings.non_interactive:
        return False
    from trustcli.prompt import TerminalPrompt

    return TerminalPrompt().confirm(question)


def create(session: Session, gun: GUN, recovery: Recovery, *, root_keys: Sequence[str], threshold: int) -> str:
    """Make the collection; returns its pin. Raises: CollectionExists, KeysError, Remote..., NotTrusted."""
    collection = session.collection(gun)
    known = collection.known_by()
    if known is not None:
        raise CollectionExists(
            role=ROOT, reason=f"{gun} is known already (by {known}); a second root would not be trusted"
        )
    there = collection.on_server()
    if isinstance(there, Tombstone):
        reason = f"{gun} was deleted; its operator must release the name first: trust-server collections release {gun}"
        raise CollectionExists(role=ROOT, reason=reason)
    if there is not None:
        made_here = _made_here(session, collection)
        if made_here is None:
            raise CollectionExists(role=ROOT, reason=f"{gun} has trust data already; pin it: trust pin {gun} REF")
        session.output.notice(f"{gun}: an earlier attempt has made it; only its pin was missing here")
        return _adopt(session, collection, made_here)
    if recovery.file is not None and not recovery.file.parent.is_dir():
        folder = recovery.file.parent
        raise UsageError(
            f"the recovery key cannot go into {folder}, which is no folder; make it first: mkdir -p {folder}"
        )
    roots = _root_signers(session, root_keys)
    backup = _recovery_signer(session, recovery)
    signers = [*roots, *([backup] if backup else [])]
    if len(signers) < threshold:
        raise UsageError(f"--threshold {threshold} needs {threshold} root keys; there are {len(signers)}")
    repository = _repository_signer(session, gun)
    contents = new_collection(
        root_keys=[signer.public_key for signer in signers],
        threshold=threshold,
        targets_key=repository.public_key,
        snapshot_key=collection.server.online_key(gun, SNAPSHOT),
        timestamp_key=collection.server.online_key(gun, TIMESTAMP),
        terms=EditTerms(at=session.at, lifetimes=TUF_LIFETIMES),
    )
    publisher = session.publisher(collection, session.held_keys([*signers, repository]))
    uploads = publisher.prepare({}, contents)
    try:
        publisher.send(uploads)
    except RemoteUnreachable:
        # Perhaps only the reply was lost.
        if collection.server.fetch(gun, "1.root.json", limit=MAX_ROOT) != uploads[ROOT].raw:
            raise
    return _adopt(session, collection, uploads[ROOT])


def _made_here(session: Session, collection: Collection) -> Envelope | None:
    """Root version 1 on the server, if an earlier attempt, killed before it could keep the pin, has made it.

    The proof: a root key of this store has signed it, and it names the repository key that this store made for this
    very name. The second half keeps a server from handing out another collection of ours under this name.
    """
    raw = collection.server.fetch(collection.gun, collection.wire.filename(ROOT, version=1), limit=MAX_ROOT)
    if raw is None:
        return None
    root = collection.wire.parse(ROOT, raw)
    signed = checks.check_signatures(root.root, ROOT, root)
    keys = session.keystore.list()
    ours = {info.keyid for info in keys if info.purpose == "root"}
    repository = {info.keyid for info in keys if info.purpose == "targets" and info.gun == collection.gun}
    if ours.isdisjoint(signed) or repository.isdisjoint(root.root.roles[TARGETS].keyids):
        return None
    return root


def _adopt(session: Session, collection: Collection, root: Envelope) -> str:
    """Keep the pin and look at the collection as a client."""
    collection.adopt(root)
    session.collection(collection.gun).refresh()
    return str(fingerprint(root))


# --- keys


def _root_signers(session: Session, wanted: Sequence[str]) -> list[Signer]:
    store, passphrases = session.keystore, session.passphrases
    infos = [store.get(reference) for reference in wanted]
    if not infos:
        infos = [info for info in store.list() if info.purpose == "root" and not info.retired]
        if len(infos) > 1:
            # A rotation that was interrupted has left a root key that nothing names.
            named = keys_in_use(session)
            used = [info for info in infos if info.keyid in named]
            if len(used) != 1:
                candidates = tuple(info.described for info in infos)
                raise KeyAmbiguous(key="the root key (say which: --root-key)", candidates=candidates)
            infos = used
    if infos:
        return [signer_for(store, info.keyid, passphrases) for info in infos]
    return [new_key(session, purpose="root")]


def _repository_signer(session: Session, gun: GUN) -> Signer:
    """A key of the collection's own; one that an earlier attempt has left is used again."""
    store = session.keystore
    for info in store.list():
        if info.purpose == "targets" and info.gun == gun and not info.retired:
            return signer_for(store, info.keyid, session.passphrases)
    return new_key(session, purpose="targets", gun=gun)


def new_key(session: Session, *, purpose: Purpose, gun: str = "", name: str = "") -> Signer:
    """Make a key, keep it durably, and return its signer."""
    private = generate(Algorithm.ECDSA_P256)
    info = KeyInfo.of(private, purpose=purpose, gun=gun, name=name, created=session.at)
    passphrase = session.passphrases.passphrase(purpose=purpose, key=f"the new {purpose} key", new=True)
    session.keystore.add(private, info, passphrase)
    session.output.notice(f"made {info.described}")
    return FileSigner(private, info)


def _recovery_signer(session: Session, recovery: Recovery) -> Signer | None:
    if recovery.file is None:
        session.output.warn("no recovery key: if the root key is lost, the collection is lost")
        return None
    file = recovery.file
    if not file.exists():
        secret = session.passphrases.passphrase(purpose="recovery", key=f"the new recovery key {file}", new=True)
        recovery_file.create(file, secret, created=session.at)
    if file.resolve().is_relative_to(session.settings.home.resolve()):
        session.output.warn(
            f"{file} lies beside the root key; move it to where a loss of this machine does not reach it"
        )
    signer = open_recovery(session, file)
    if session.passphrases.shared("root", "recovery"):
        session.output.warn("the recovery key has the root key's passphrase: who loses one loses both")
    return signer


def open_recovery(session: Session, file: Path) -> Signer:
    """Read the file from disk and open it: from then on it is known to work. Raises: KeysError."""
    private = recovery_file.read_asking(
        file, lambda: session.passphrases.passphrase(purpose="recovery", key=f"the recovery key {file}")
    )
    return FileSigner(private, KeyInfo.of(private, purpose="recovery", name=file.name))

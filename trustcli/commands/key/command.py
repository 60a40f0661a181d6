"""The commands of `trust key`: the key store, backup and restore, rotation, and what a stolen key means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from keys.algorithms import Algorithm, generate
from keys.durable_file import write_durably
from keys.errors import KeyExists, KeyFileUnwritable, KeysError
from keys.key_info import PURPOSES, KeyInfo, Purpose
from keys.material import write_private_pem, write_public_pem
from keys.notary import notary_key
from keys.notary_files import write_notary_key_file
from keys.passphrase import passphrase_bytes
from keys.signers import ask_and_open
from keys.uris.uri import is_key_uri, shown_uri
from trustcli.commands.key import backup, key_show, restore, rotate
from trustcli.commands.key.compromised import compromised
from trustcli.commands.key.key_elsewhere import make_at, proven_key, record
from trustcli.commands.key.key_import import ImportedKey, ImportOptions, import_file, import_folder
from trustcli.commands.key.key_removal import remove_keys
from trustcli.commands.key.key_rows import lines, row
from trustcli.commands.key.key_uses import key_uses
from trustcli.commands.support.change_options import WithoutAsking
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.errors import shown
from trustdata.gun import parse_gun
from trustdata.roles import signer_role
from trustdata.suggestion import one_of

_PROVEN: Final = ("keyid", "notary_keyid", "algorithm", "uri")

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="The key store, and key rotation.")


@app.command("generate")
def generate_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    directory: Annotated[Path, typer.Option("--dir", help="Where NAME.pub goes.")] = Path(),
    algorithm: Annotated[Algorithm, typer.Option(help="Which kind of key.")] = Algorithm.ECDSA_P256,
    purpose: Annotated[str, typer.Option(help="signer, root, targets or snapshot.")] = "signer",
    at: Annotated[str, typer.Option("--at", metavar="URI", help="Make it there: pkcs11:token=T?module-path=/M.")] = "",
    gun: Annotated[
        str, typer.Option("--collection", metavar="NAME", help="The one collection that the key serves.")
    ] = "",
) -> int:
    """Make a key in the store, or in a token, and write its public half to NAME.pub."""
    session: Session = ctx.obj
    signer_role(name)  # the rule for names, which also keeps them inside --dir
    public = directory / f"{name}.pub"
    if not directory.is_dir():
        raise UsageError(f"--dir {directory} is no folder; nothing was made")
    if public.exists():
        raise KeyExists(key="the public key", place=str(public))
    serves = parse_gun(gun) if gun else ""
    if at:
        info = make_at(session, at, name=name, purpose=_purpose(purpose), gun=serves, algorithm=algorithm)
    else:
        private = generate(algorithm)
        info = KeyInfo.of(private, purpose=_purpose(purpose), name=name, gun=serves, created=session.at)
        passphrase = session.passphrases.passphrase(purpose=info.purpose, key=f"the new key {name}", new=True)
        session.keystore.add(private, info, passphrase)
    _write(public, write_public_pem(info.public), mode=0o644)
    where = f" at {shown_uri(info.uri)}" if info.uri else ""
    session.output.result(f"{info.described} made{where}; its public key is in {public}")
    session.output.document({**row(info), "public_file": str(public), "exit": DONE})
    return DONE


@app.command("import", help="Bring private keys into the store: a file, or the folder of docker or notary.")
@app.command("load")
def load(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Or the URI of a key that stays where it is.")],
    name: Annotated[str, typer.Option(help="What to call the key.")] = "",
    purpose: Annotated[
        str, typer.Option(help="signer, root, targets or snapshot. [as the file says, else signer]")
    ] = "",
    gun: Annotated[str, typer.Option("--collection", help="The one collection that the key serves.")] = "",
) -> int:
    """Bring a private key into the store: PEM, plain or encrypted, or a key file of docker or notary.

    Of a key URI, the store gets an entry, and the key stays where it is.
    """
    session: Session = ctx.obj
    options = ImportOptions(name=name, purpose=_purpose(purpose) if purpose else None, gun=gun)
    if Path(file).is_dir():
        if options != ImportOptions():
            raise UsageError("a folder holds several keys: --name, --purpose and --collection are for one file")
        return _report_import(session, import_folder(session, Path(file)))
    imported = [record(session, file, options)] if is_key_uri(file) else import_file(session, Path(file), options)
    [only] = imported if len(imported) == 1 else [None]
    if only is None or only.info is None:
        return _report_import(session, imported)
    _tell_import(session, only, only.info)
    session.output.document({**row(only.info), "exit": DONE})
    return DONE


def _tell_import(session: Session, imported: ImportedKey, info: KeyInfo) -> None:
    if imported.known:
        session.output.notice(f"{imported.place}: {info.described} is in the key store already: nothing to do")
    else:
        done = "recorded: it stays at" if info.uri else "loaded from"
        session.output.result(f"{info.described} {done} {imported.place}")


def _report_import(session: Session, keys: Sequence[ImportedKey]) -> int:
    """Say what became of each key of a folder or file; return the worst status."""
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    for imported in keys:
        told: dict[str, object] = {"file": imported.place}
        if imported.info is not None:
            _tell_import(session, imported, imported.info)
            told |= row(imported.info)
        elif imported.error is not None:
            statuses.append(session.output.failure(imported.error, subject=imported.place))
            told["error"] = failure_document(imported.error)
        else:
            session.output.notice(f"{imported.place}: left out, such keys are the server's")
        rows.append(told)
    status = worst(statuses)
    session.output.document({"keys": rows, "exit": status})
    return status


@app.command("list")
def list_(ctx: typer.Context) -> int:
    """List the keys of the store: where each lives, what it may sign, and when it last signed here."""
    session: Session = ctx.obj
    infos = session.keystore.list()
    uses = key_uses(session)
    for line in lines(infos, uses):
        session.output.result(line)
    if infos and uses.unread:
        some, first = counted(len(uses.unread), "collection"), uses.unread[0]
        session.output.notice(f"of {some} known here nothing verified is in the cache: trust inspect {first} reads it")
    if not infos:
        session.output.notice(
            "no private key is in the key store; trust key generate NAME makes one, trust key import FILE brings one"
        )
    rows = [{**row(info), **uses.row(info.public)} for info in infos]
    session.output.document({"keys": rows, "unread": list(uses.unread), "exit": DONE})
    return DONE


@app.command("show")
def show(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="KEY...", help="Key files, key URIs, or names or ids in the key store.")
    ],
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Ask for passphrases, to know the ids.")] = False,
) -> int:
    """Say what key files hold, and where their keys count; no private part is shown."""
    session: Session = ctx.obj
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    uses = key_uses(session)
    for file in files:
        try:
            rows += [key_show.row(session, key, uses) for key in key_show.keys_of(session, file, decrypt=decrypt)]
        except KeysError as error:
            place = shown_uri(file) if is_key_uri(file) else file
            statuses.append(session.output.failure(error, subject=place))
            rows.append({"file": place, "error": failure_document(error)})
    for told in rows:
        for line in key_show.lines(told) if "error" not in told else ():
            session.output.result(line)
    status = worst(statuses)
    session.output.document({"keys": rows, "exit": status})
    return status


@app.command("test")
def test_(
    ctx: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Ids, their first digits, names, or key URIs.")],
) -> int:
    """Prove that keys are where they should be: each signs a text that is good for nothing else."""
    session: Session = ctx.obj
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    for key in keys:
        place = shown_uri(key) if is_key_uri(key) else shown(key)
        try:
            info = proven_key(session, key)
        except KeysError as error:
            statuses.append(session.output.failure(error, subject=place))
            rows.append({"key": place, "proven": False, "error": failure_document(error)})
            continue
        session.output.result(f"{place}: {info.described} has signed, and the signature verifies")
        known = {name: value for name, value in row(info).items() if name in _PROVEN}
        rows.append({"key": place, "proven": True, **known})
    status = worst(statuses)
    session.output.document({"keys": rows, "exit": status})
    return status


@app.command("export")
def export(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Id, the first digits of it, or name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it must not exist.")],
    public: Annotated[bool, typer.Option("--public", help="The public half only.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Without encryption.")] = False,
    notary: Annotated[
        bool, typer.Option("--notary", help="For docker and notary: --output is their trust folder.")
    ] = False,
) -> int:
    """Write a key as PKCS#8 PEM, encrypted under its own passphrase; or its public half; or for docker and notary."""
    session: Session = ctx.obj
    if notary and (public or plain):
        raise UsageError("--notary writes an encrypted private key; leave --public and --plain out")
    info = session.keystore.get(key)
    if notary:
        output = output / "private" / f"{notary_key(info.public).keyid}.key"
        _make_folder(output.parent)
    if output.exists():
        raise KeyExists(key="the exported key", place=str(output))
    if notary:
        private, passphrase = ask_and_open(session.keystore, info, session.passphrases)
        role, gun = _notary_role(info)
        secret = passphrase_bytes(passphrase)
        _write(output, write_notary_key_file(private, role=role, gun=gun, passphrase=secret), mode=0o600)
    elif public:
        _write(output, write_public_pem(info.public), mode=0o644)
    else:
        private, passphrase = ask_and_open(session.keystore, info, session.passphrases)
        sealing = None if plain else passphrase_bytes(passphrase)
        _write(output, write_private_pem(private, sealing), mode=0o600)
    # For docker and notary the file is named after the id that they know; another one beside it would confuse.
    what = f"{info.purpose} key {shown(info.name)}".rstrip() if notary else info.described
    session.output.result(f"{what} written to {output}")
    session.output.document({**row(info), "file": str(output), "exit": DONE})
    return DONE


@app.command("passwd")
def passwd(ctx: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY")]) -> int:
    """Put a key under another passphrase; the new one comes from the prompt or TRUST_NEW_PASSPHRASE."""
    session: Session = ctx.obj
    info = session.keystore.get(key)
    _, old = ask_and_open(session.keystore, info, session.passphrases)
    new = session.passphrases.passphrase(purpose="new", key=info.described, new=True)
    session.keystore.passwd(info.keyid, old, new)
    session.output.result(f"{info.described} has a new passphrase")
    session.output.document({**row(info), "exit": DONE})
    return DONE


@app.command("remove")
def remove(
    ctx: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Ids, the first digits of them, or names.")],
    yes: WithoutAsking = False,
) -> int:
    """Remove keys from the store for good; all are looked up before the first is removed."""
    session: Session = ctx.obj
    return remove_keys(session, keys, yes=yes)


app.command("backup")(backup.backup)
app.command("backup-verify")(restore.backup_verify)
app.command("restore")(restore.restore)


app.command("rotate")(rotate.rotate)
app.command("compromised")(compromised)


def _notary_role(info: KeyInfo) -> tuple[str, str]:
    """Return the role that a Notary key file names for this key, and the collection, if the key serves one."""
    if info.purpose in {"targets", "snapshot"}:
        return info.purpose, info.gun
    return ("root" if info.purpose in {"root", "recovery"} else info.name or info.purpose), ""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileUnwritable(place=str(folder), reason=error.strerror or type(error).__name__) from error


def _purpose(text: str) -> Purpose:
    if text not in PURPOSES or text == "recovery":
        named = [each for each in PURPOSES if each != "recovery"]
        raise UsageError(f"--purpose {text} is unknown{one_of(text, named)}")
    return cast("Purpose", text)


def _write(file: Path, data: bytes, *, mode: int) -> None:
    try:
        write_durably(file, data, mode=mode, replace=False)
    except OSError as error:
        raise KeyFileUnwritable(place=str(file), reason=error.strerror or type(error).__name__) from error

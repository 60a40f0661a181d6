"""Seal all server-held keys with another seal key (ADR 0104).

A running server accepts both: it seals with the new one since its start, and opens with either. Keys are sealed anew
some hundred at a time, each lot in one transaction, and every key is opened again before it replaces the stored one.
The new seal key becomes the current one in the transaction that finds no other seal. So whoever is killed in between
leaves some keys under either, and the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import typer

from keys.errors import KeyFileMalformed
from trustdata.counting import counted
from trustserver.admin.operator import operator
from trustserver.errors import ServerRunning, StartRefused
from trustserver.process.lock import Holder, hold
from trustserver.settings import GivenSettings, Settings, load
from trustserver.storage.events import EventKind, NewEvent
from trustserver.storage.key_port import NumberedKey, ServerKeyStore
from trustserver.storage.key_rows import NOT_KNOWN
from trustserver.storage.opening import exclusive_use, existing_store, open_sealer, open_server_keys
from trustserver.storage.sealed_keys import SealedKeys

LOT: Final = 200
"""How many keys are sealed in one transaction: others wait for its end some hundredths of a second."""
_TOLD_EVERY: Final = 2000
_LOCK: Final = "seal-rotate.lock"
_SHOWN: Final = 10


def rotate_seal(
    given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, plan: bool, at: datetime
) -> bool:
    """Seal all keys with the next seal key, and print how far that is. Return False if some cannot be opened.

    `plan`: only say what would be done. Raises: StartRefused (there is no next seal key, one of the two is the wrong
    one, a running server does not know it, or this runs already), NotStored.
    """
    settings = load(given, environ, config).settings
    if settings.next_seal_key is None:
        reason = "names the file of the new seal key; make one: (umask 077; head -c 32 /dev/urandom | base64 > FILE)"
        raise StartRefused(what="--next-seal-key", reason=reason)
    store = existing_store(settings)
    keys = open_server_keys(settings)
    try:
        if not keys.marks().current:
            raise StartRefused(what="database", reason="nothing is sealed yet; serve with the new seal key at once")
        sealer = open_sealer(settings, store)
        if plan:
            _tell_plan(settings, keys, sealer)
            return True
        if keys.marks().current == sealer.mark and set(keys.seals()) <= {sealer.mark}:
            typer.echo(
                f"nothing to do: {settings.next_seal_key} is the current seal key, and all keys are sealed with it"
            )
            return True
        with _alone(settings, at), _known_to_servers(settings, keys, sealer, at) as served:
            broken = reseal(keys, sealer, served=served, at=at, tell=lambda text: typer.echo(text, err=True))
    finally:
        keys.close()
        store.close()
    for error in broken[:_SHOWN]:
        typer.echo(f"trust-server: {error}", err=True)
    if broken:
        still = f"{counted(len(broken), 'key')} cannot be opened, and the seal key until now stays the current one"
        typer.echo(f"{still}; trust-server check says whose they are. Run this again when they are replaced")
        return False
    typer.echo(f"all keys are sealed with {settings.next_seal_key}: from the next start on it is the --seal-key")
    return True


def reseal(
    keys: ServerKeyStore,
    sealer: SealedKeys,
    *,
    served: bool,
    at: datetime,
    tell: Callable[[str], None] = lambda _: None,
    step: Callable[[], None] = lambda: None,
) -> list[KeyFileMalformed]:
    """Seal all keys with the sealer's own seal key, and make it the current one. Return which keys cannot be opened.

    `served`: a server is running. `step`: is called after each transaction. Raises: StartRefused (the server does not
    know the seal key), NotStored.
    """
    total, done, after = sum(keys.seals().values()), keys.seals().get(sealer.mark, 0), 0
    broken: list[KeyFileMalformed] = []
    while found := keys.sealed_otherwise(sealer.mark, after=after, limit=LOT):
        after = found[-1].number
        lot: list[tuple[NumberedKey, bytes]] = []
        for each in found:
            try:
                lot.append((each, _sealed_anew(each, sealer)))
            except KeyFileMalformed as error:
                broken.append(error)
        before = done
        done += keys.replace_sealed(lot, mark=sealer.mark, served=served)
        step()
        if done // _TOLD_EVERY != before // _TOLD_EVERY:
            tell(f"{done} of {counted(total, 'key')} sealed anew")
    if not broken:
        event = NewEvent(kind=EventKind.RESEALED, at=at, by=operator(), details={"sealed_keys": total})
        if not keys.finish(sealer.mark, event=event):
            return reseal(keys, sealer, served=served, at=at, tell=tell, step=step)  # somebody has added one meanwhile
        step()
    return broken


def _sealed_anew(each: NumberedKey, sealer: SealedKeys) -> bytes:
    """Return a key as it is sealed with the new seal key, and open that again. Raises: KeyFileMalformed."""
    key = each.key
    private = sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place)
    sealed = sealer.seal(private, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place)
    if sealer.alone().open(sealed, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place) != private:
        raise KeyFileMalformed(place=f"the sealed {key.role} key {key.keyid} of {key.gun}", reason="sealed wrongly")
    return sealed


def _tell_plan(settings: Settings, keys: ServerKeyStore, sealer: SealedKeys) -> None:
    counts = keys.seals()
    left = sum(counts.values()) - counts.get(sealer.mark, 0)
    typer.echo(f"{counted(left, 'key')} to be sealed anew with {settings.next_seal_key}")
    if keys.marks().following != sealer.mark:
        typer.echo("a server that runs does not know the new seal key: restart it with --next-seal-key first")
    if keys.marks().current == sealer.mark:
        typer.echo("it is the current seal key already")


@contextmanager
def _alone(settings: Settings, at: datetime) -> Iterator[None]:
    """Keep out a second `seal rotate` on this folder. Raises: StartRefused."""
    try:
        with hold(settings.data / _LOCK, what=str(settings.data)) as lock:
            lock.write_holder(Holder.this_process(at=at, listen="trust-server seal rotate"))
            yield
    except ServerRunning as error:
        who = f"process {error.pid} on {error.host} since {error.since}" if error.pid else "another process"
        reason = f"trust-server seal rotate is at work on it already: {who}"
        raise StartRefused(what=str(settings.data), reason=reason) from error


@contextmanager
def _known_to_servers(settings: Settings, keys: ServerKeyStore, sealer: SealedKeys, at: datetime) -> Iterator[bool]:
    """Yield whether a server is running, which must know the new seal key; else keep one from starting meanwhile.

    Raises: StartRefused.
    """
    try:
        use = exclusive_use(settings, at=at, listen="trust-server seal rotate")
        use.__enter__()
    except ServerRunning as error:
        if keys.marks().following != sealer.mark:
            raise StartRefused(what=str(settings.next_seal_key), reason=NOT_KNOWN) from error
        yield True
        return
    try:
        yield False
    finally:
        use.__exit__(None, None, None)

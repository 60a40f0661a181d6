"""Take a pin, or the pin of a pattern, out of `pins.toml`, and say what counts from now on.

Rollback memory, cache and lock file stay as they are: what was seen of a name is remembered, so that a removed pin does
not let another root in unnoticed.
"""

from __future__ import annotations

from typing import Final

from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.commands.support.name_lists import collection_names
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.gun import GUN
from trustdata.suggestion import did_you_mean

_NAMES_TOLD: Final = 5


def remove_pin(session: Session, name: str, *, yes: bool) -> int:
    """Take out the pin of one name. Raises: UsageError (there is none, or the user refuses), SettingsUnusable."""
    (gun,) = collection_names([name])
    pins = session.pins.load()
    if gun not in pins:
        raise UsageError(f"{session.settings.home / 'pins.toml'} has no pin of {gun}{did_you_mean(gun, pins)}")
    entry, locks = pins[gun], session.locks
    _ask(session, gun, entry.stated, yes=yes)
    session.pins.remove(gun, entry)
    left = [(str(each.pin), each.source) for each in session.known_pins(gun)]
    if gun in locks:
        left.append((str(locks[gun].entry.root), locks[gun].source))
    session.output.result(f"{gun}: the pin {entry.stated} was removed")
    if left:
        session.output.notice(f"{gun} is still pinned: {'; '.join(f'{pin} ({source})' for pin, source in left)}")
    else:
        session.output.notice(f"{gun} is pinned nowhere now, and refused until: trust pin {gun} REF")
    if session.memory.load(entry.named or gun) is not None:
        session.output.notice(
            f"what was verified of {entry.named or gun} here is remembered; trust pin {gun} REF --replace forgets it"
        )
    told = [{"pin": pin, "source": source} for pin, source in left]
    session.output.document({"gun": gun, "removed": str(entry.pin), "left": told, "exit": DONE})
    return DONE


def remove_pattern(session: Session, pattern: str, *, yes: bool) -> int:
    """Take out the pin of a pattern. Raises: as `remove_pin`."""
    patterns = session.pins.patterns()
    if pattern not in patterns:
        raise UsageError(
            f"{session.settings.home / 'pins.toml'} has no pattern {pattern}{did_you_mean(pattern, patterns)}"
        )
    entry, locks = patterns[pattern], session.locks
    decided = [gun for gun in session.memory.names() if _decides(session, pattern, gun)]
    _ask(session, pattern, str(entry.pin), yes=yes)
    session.pins.remove_pattern(pattern, entry)
    unpinned = [gun for gun in decided if not session.known_pins(gun) and gun not in locks]
    session.output.result(f"{pattern}: the pin {entry.pin} was removed")
    session.output.notice(_of_names(decided, unpinned))
    session.output.document({"pattern": pattern, "removed": str(entry.pin), "unpinned": unpinned, "exit": DONE})
    return DONE


def _decides(session: Session, pattern: str, gun: GUN) -> bool:
    """Return whether a name has no pin of its own, and this pattern is the one that counts for it."""
    fitting = session.pins.pattern_for(gun)
    return gun not in session.pins.load() and fitting is not None and fitting[0] == pattern


def _of_names(decided: list[GUN], unpinned: list[GUN]) -> str:
    if not decided:
        return "no name that was verified here was pinned by it"
    if not unpinned:
        return f"{counted(len(decided), 'name')} verified here had this pin; another counts for each now (trust pins)"
    more = f" and {len(unpinned) - _NAMES_TOLD} more" if len(unpinned) > _NAMES_TOLD else ""
    names = ", ".join(unpinned[:_NAMES_TOLD])
    return f"pinned nowhere now, and refused until each is pinned (trust pin NAME REF): {names}{more}"


def _ask(session: Session, name: str, pin: str, *, yes: bool) -> None:
    question, to = f"Remove the pin {pin} of {name}?", f"remove the pin of {name}"
    confirm_or_stop(session, question, yes=yes, nothing="nothing was removed", to=to)

"""Read a command line as bash has it when somebody presses the tab key: not finished, and cut into words by bash."""

from __future__ import annotations

from typing import Final

from keys.record import record

_ESCAPED_IN_QUOTES: Final = '"\\$`'


@record
class TypedLine:
    """The words of a command line without the program's name; the last is the one that is being typed.

    `kept`: how many characters of the last word bash keeps, since they end with one of its word breaks, such as `:`.
    """

    words: tuple[str, ...]
    kept: int


def typed_line(line: str, breaks: str) -> TypedLine:
    """Read the text before the cursor. `breaks`: bash's COMP_WORDBREAKS.

    Quotes and backslashes are read as the shell reads them; variables and patterns stand for themselves.
    """
    words = [""]
    begun, kept, quote, escaped = False, 0, "", False
    for character in line:
        if escaped:
            words[-1] += _unescaped(character, quote)
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                words[-1] += character
        elif character.isspace():
            if begun:
                words.append("")
            begun, kept = False, 0
            continue
        elif character in "'\"":
            quote, kept = character, len(words[-1])  # bash's word begins behind the quote
        else:
            words[-1] += character
            if character in breaks:
                kept = len(words[-1])
        begun = True
    return TypedLine(words=tuple(words[1:]), kept=kept)


def _unescaped(character: str, quote: str) -> str:
    """Return what a backslash and the character behind it stand for; in quotes, only some are escaped."""
    return character if not quote or character in _ESCAPED_IN_QUOTES else f"\\{character}"

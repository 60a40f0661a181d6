"""Completion of `trust-server`: the commands and options that its parser knows; anything else is a file.

The scripts ask the `trust-server` of the PATH, whatever path was typed: the tab key must not start the program of a
folder that somebody only looks into (docs/adr/0076).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_BASH: Final = """\
# Completion of trust-server for bash. Load it with: source <(trust-server completion bash)
_trust_server_complete() {
    local IFS=$'\\n'
    COMPREPLY=($(command trust-server __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _trust_server_complete trust-server
"""

_ZSH: Final = """\
#compdef trust-server
# Completion of trust-server for zsh. Load it after compinit with: source <(trust-server completion zsh)
_trust_server() {
    local -a found
    found=("${(@f)$(command trust-server __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ -n $found ]]; then
        compadd -a found
    else
        compset -P '-*='
        _files
    fi
}
if [[ $funcstack[1] = _trust_server ]]; then
    _trust_server "$@"
else
    compdef _trust_server trust-server
fi
"""

_FISH: Final = """\
# Completion of trust-server for fish. Load it with: trust-server completion fish | source
function __trust_server_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l found (command trust-server __complete $words "$current" 2>/dev/null)
    if test (count $found) = 0
        __fish_complete_path (string replace -r '^-[^=]*=' '' -- "$current")
    else
        printf '%s\\n' $found
    end
end
complete -c trust-server -f -a '(__trust_server_complete)'
"""

SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""By the name of the shell."""
_SHELLS_OF: Final = "completion"
"""The command whose argument is the name of a shell."""


def suggestions(command: Any, words: Sequence[str]) -> list[str]:
    """Return what the last word may become; nothing where a file or any other value may stand.

    `command`: Typer's, of the whole program. `words`: after the program's name; the last is the one that is typed.
    """
    *typed, current = words or [""]
    value_follows = False
    for word in typed:
        if value_follows:
            value_follows = False
        elif word.startswith("-"):
            value_follows = word in _options(command, with_value=True)
        else:
            command = getattr(command, "commands", {}).get(word, command)
    if value_follows:
        return []
    known = _options(command) if current.startswith("-") else _words(command)
    return sorted(word for word in known if word.startswith(current))


def _words(command: Any) -> list[str]:
    return list(SCRIPTS) if command.name == _SHELLS_OF else list(getattr(command, "commands", {}))


def _options(command: Any, *, with_value: bool = False) -> list[str]:
    found = [each for each in command.params if each.param_type_name == "option" and not (with_value and each.is_flag)]
    help_options = [] if with_value else ["-h", "--help"]
    return [*(name for each in found for name in (*each.opts, *each.secondary_opts)), *help_options]

"""The scripts that teach a shell to complete: each asks `content-trust __complete` and hands on what it answers.

They call the `content-trust` of the PATH, whatever path was typed: a press of the tab key must not start the program of
a folder that somebody only looks into. `trust` may be that of p11-kit, which knows no such command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BASH: Final = """\
# Completion of trust for bash. Load it with: source <(trust completion bash)
_trust_complete() {
    local line directive=:4
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :*) directive=$line ;;
            *) COMPREPLY+=("$line") ;;
        esac
    done < <(command content-trust __complete_line "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    case $directive in
        :0) compopt -o default 2>/dev/null ;;
        :6) compopt -o nospace 2>/dev/null ;;
        :16) compopt -o dirnames 2>/dev/null ;;
    esac
}
complete -F _trust_complete trust content-trust
"""

_ZSH: Final = """\
#compdef trust content-trust
# Completion of trust for zsh. Load it after compinit with: source <(trust completion zsh)
_trust() {
    local -a found
    local directive
    found=("${(@f)$(command content-trust __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    directive=$found[-1]
    found[-1]=()
    case $directive in
        :0) compset -P '-*='; _files ;;
        :16) compset -P '-*='; _files -/ ;;
        :6) compadd -S '' -a found ;;
        *) compadd -a found ;;
    esac
}
if [[ $funcstack[1] = _trust ]]; then
    _trust "$@"
else
    compdef _trust trust content-trust
fi
"""

_FISH: Final = """\
# Completion of trust for fish. Load it with: trust completion fish | source
function __trust_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l found (command content-trust __complete $words "$current" 2>/dev/null)
    set -l directive $found[-1]
    set -e found[-1]
    switch "$directive"
        case :0
            __fish_complete_path (string replace -r '^-[^=]*=' '' -- "$current")
        case :16
            __fish_complete_directories (string replace -r '^-[^=]*=' '' -- "$current")
        case :6
            printf '%s\\n' $found
            # fish ends a word with a space if it is the only one; a second one keeps it open for a tag.
            test (count $found) = 1; and printf '%s:\\n' $found
        case '*'
            test (count $found) = 0; or printf '%s\\n' $found
    end
end
complete -c trust -f -a '(__trust_complete)'
complete -c content-trust -f -a '(__trust_complete)'
"""

SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""By the name of the shell."""

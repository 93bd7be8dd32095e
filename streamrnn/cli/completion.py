"""`streamrnn completion`: a script that lets a shell complete commands, models and flags."""

import contextlib
import io
import os
import re
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import tyro

from streamrnn.cli.flags import parse

# At the beginning of a flag's own lines in its box.
_FLAG = re.compile(r"^[│| ] (?:-\w, )?(--[a-z][\w.-]*)", re.MULTILINE)
# Of an argument; those of a flag stand behind its name.
_CHOICES = re.compile(r"(?<![a-z] )\{([\w,-]+)\}")
_SCRIPT = """\
# Completion of streamrnn, as it was when `streamrnn completion` wrote this.
_streamrnn() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" words="" key="${{COMP_WORDS[1]}}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "$key:${{COMP_WORDS[2]}}" in
{nested}
        esac
        if [ -z "$words" ] || [ "$COMP_CWORD" -eq 2 ]; then
            case "$key" in
{flat}
            esac
        fi
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # Without a fitting word it is a file.
    [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _streamrnn streamrnn
"""


@dataclass(frozen=True)
class Completion:
    """Prints a completion script for streamrnn's commands, models and flags. This takes some seconds.

    examples:
      streamrnn completion bash > ~/.local/share/bash-completion/completions/streamrnn
      streamrnn completion zsh > ~/.streamrnn_completion    and in ~/.zshrc: source ~/.streamrnn_completion
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh"]]
    """The shell to complete in."""


def main(args: list[str]) -> None:
    """Runs `streamrnn completion`."""
    flags = parse(Completion, "completion", args)
    from streamrnn.cli import COMMANDS
    from streamrnn.pretrained import shipped

    models, flat, nested = list(shipped()), [], []
    for command in COMMANDS:
        text = _help_of(command)
        # Where the first argument chooses what follows, each choice has flags of its own.
        below = next((found.split(",") for found in _CHOICES.findall(text.partition("\n\n")[0])), [])
        flat.append(_case(command, [*below, *sorted(set(_FLAG.findall(text))), *(() if below else models)], 16))
        nested += [
            _case(f"{command}:{each}", sorted(set(_FLAG.findall(_help_of(command, each)))), 12) for each in below
        ]
    if flags.shell == "zsh":
        print("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit")
    print(_SCRIPT.format(commands=" ".join(COMMANDS), flat="\n".join(flat), nested="\n".join(nested)), end="")


def _case(pattern: str, words: list[str], indent: int) -> str:
    return f'{" " * indent}{pattern}) words="{" ".join(words)}" ;;'


def _help_of(command: str, *arguments: str) -> str:
    """What the command says of itself, in lines that are long enough for its flags."""
    told, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"
    try:
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit), warnings.catch_warnings():
            import_module(f"streamrnn.cli.{command}").main([*arguments, "--help"])
    finally:
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)
    return told.getvalue()


__all__ = ["Completion", "main"]

"""The command `streamrnn`: one module per subcommand, imported when it is called for."""

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from streamrnn.cli.interrupt import Interrupted, ending_at_once

COMMANDS = {
    "run": "hear a file, a microphone or a pipe, and print what is decided, as it is decided",
    "serve": "serve models for many live streams, over WebSockets and HTTP, with a page to try them",
    "models": "list the models that come with streamrnn",
    "evaluate": "measure a model on a folder of recordings, streaming and offline",
    "scenes": "compose test recordings of speech, noise, music and rooms, for evaluate",
    "data": "fetch public corpora to train with",
    "strings": "join recorded words into transcribed test recordings, for evaluate",
    "train": "train a model on a folder of recordings",
    "export": "write a model to a file that runs without streamrnn: ONNX or StableHLO",
    "bench": "measure speed on this machine, or other programs on the same recordings",
    "compare": "measure recurrent networks against transformers on live sound",
}

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command line (default: the process's own) and returns its exit status.

    0: done, also when whoever reads the output has had enough. 2: it could not be done, for the reason printed. 130
    and 143: ended by Ctrl-C and by SIGTERM.
    """
    args = list(sys.argv[1:] if args is None else args)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _print_warning
        try:
            with ending_at_once():
                status = _dispatch(args)
            sys.stdout.flush()
            return status
        except Interrupted as interrupted:
            return interrupted.status
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            _drop_output()
            return 0
        # What these say is meant for users; anything else is a bug, and its traceback is wanted.
        except (OSError, ValueError, ImportError, FloatingPointError, MemoryError) as error:
            print(f"streamrnn: {_explain(error)}", file=sys.stderr)
            return FAILED


def _dispatch(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help", *_]:
            print(_overview())
        case ["--version", *_]:
            print(f"streamrnn {import_module('streamrnn').__version__}")
        case [command, *rest] if command in COMMANDS:
            module = import_module(f"streamrnn.cli.{command}")
            module.main(rest)
        case [command, *_]:
            raise ValueError(f"there is no command {command!r}. Commands are: {', '.join(COMMANDS)}.")
    return 0


def _overview() -> str:
    commands = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
    return (
        "usage: streamrnn COMMAND ...\n\nRecurrent speech models, live.\n\n"
        f"{commands}\n\n"
        "Begin with: streamrnn run vad recording.wav\n"
        "Every command explains itself: streamrnn run --help"
    )


def _print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"streamrnn: warning: {message}", file=sys.stderr)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # Python's own MemoryError says nothing.
    return str(error) or "there is not enough memory."


def _drop_output() -> None:
    # Else the interpreter, flushing what is left at its exit, would complain about the closed pipe.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["COMMANDS", "main"]

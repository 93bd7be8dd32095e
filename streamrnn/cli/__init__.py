"""The command `streamrnn`: one module per subcommand, imported when it is called for."""

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from streamrnn.cli.interrupt import Interrupted, ending_at_once
from streamrnn.cli.starting import starting
from streamrnn.suggestions import did_you_mean

COMMANDS = {
    "demo": "try a model on a sample that comes with the package",
    "run": "run a model on a file, a microphone, a pipe or lines of text, and print decisions as they are made",
    "batch": "process thousands of recordings into a folder, on one machine or many; finished ones are skipped",
    "generate": "continue a prompt, with a model of characters or music",
    "serve": "serve models to many live streams, over WebSockets and HTTP, with a page to try them",
    "models": "list the models that come with streamrnn",
    "evaluate": "evaluate a model on a folder of recordings, streaming and offline",
    "audit": "measure what a model leaks about its training data, and which groups it serves worse",
    "card": "check that a model card is complete",
    "data": "download public corpora to train with",
    "compose": "compose test recordings with known labels, for evaluate: vad, denoise, digits, situations",
    "record": "record clips of a word to train with, and check each as it is made",
    "train": "train a model on folders of recordings",
    "convert": "convert another package's weights to a model: Resemblyzer's speaker encoder",
    "guard": "suppress the words that a model detects where there is no speech",
    "enrol": "enrol voices by name in a speaker model",
    "push": "push a model to the Hugging Face Hub",
    "export": "export a model to a file that runs without streamrnn: ONNX or StableHLO",
    "completion": "print a completion script for bash or zsh",
    "bench": "benchmark this machine: a live step, many streams, a server",
    "compare": "compare recurrent networks with transformers on live sound",
}

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command line (default: the process's own) and returns its exit status.

    0: done, also when whoever reads the output has had enough. 2: it could not be done, for the reason printed. 130,
    143 and 129: ended by Ctrl-C, by SIGTERM and by SIGHUP.
    """
    args = list(sys.argv[1:] if args is None else args)
    _prepare_output()
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


def _prepare_output() -> None:
    """Lets every print succeed: where the shell closed an output (>&-), and for names that are no text."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            # At its own number, which else the next file that is opened would get, and the library's messages with it.
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _dispatch(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help", *_]:
            print(_overview())
        case ["--version", *_]:
            print(f"streamrnn {import_module('streamrnn').__version__}")
        case [command, *rest] if command in COMMANDS:
            with starting():
                module = import_module(f"streamrnn.cli.{command}")
            module.main(rest)
        case [command, *_]:
            meant = did_you_mean(command, COMMANDS)
            raise ValueError(f"there is no command {command!r}.{meant} Commands are: {', '.join(COMMANDS)}.")
    return 0


def _overview() -> str:
    commands = "\n".join(f"  {name:<12}{purpose}" for name, purpose in COMMANDS.items())
    return (
        "usage: streamrnn COMMAND ...\n\n"
        "Recurrent models for live streams of sound, tables, text, strokes and music.\n\n"
        f"{commands}\n\n"
        "Begin with: streamrnn demo, then streamrnn run vad recording.wav\n"
        "Help on a command: streamrnn run --help"
    )


def _print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"streamrnn: warning: {message}", file=sys.stderr)


# What to do where the system's own words are all there is to say.
_WAYS_OUT = {
    os.strerror(errno.EEXIST): ", and a folder is needed. Choose another",
    os.strerror(errno.ENOTDIR): ": a part of the path is a file. Choose a folder",
    os.strerror(errno.EISDIR): ". Pass a file",
    os.strerror(errno.ENOSPC): ". Make room, and run the same command again",
}


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        # The system names no file where a write fails, only where one cannot be opened.
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror}{_WAYS_OUT.get(error.strerror, '')}"
    if isinstance(error, ModuleNotFoundError):
        # Its look at what is installed takes longer to import than all else here.
        from streamrnn.cli.extras import advice

        return advice(error) or str(error)
    # Python's own MemoryError says nothing.
    return str(error) or ("there is not enough memory." if isinstance(error, MemoryError) else repr(error))


def _drop_output() -> None:
    # Else the interpreter, flushing what is left at its exit, would complain about the closed pipe.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["COMMANDS", "main"]

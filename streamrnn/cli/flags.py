"""Flags from dataclasses and functions, the same way for every command."""

from collections.abc import Callable
from typing import Any, TypeVar

import tyro

T = TypeVar("T")

CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.PositionalMetavarFromFieldName,
)


def parse(settings: type[T], command: str, args: list[str]) -> T:
    """The settings that the arguments give; help and wrong flags end the process, with status 0 and 2."""
    return tyro.cli(settings, prog=f"streamrnn {command}", args=args, config=CONFIG)


def default_is(what: str) -> Any:
    """Annotates a flag whose default is None: what the help says of it instead."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


def dispatch(functions: dict[str, Callable[..., None]], command: str, args: list[str], description: str) -> Any:
    """Calls the function that the first argument names, with flags from its signature and help from its docstring."""
    return tyro.extras.subcommand_cli_from_dict(
        functions, prog=f"streamrnn {command}", description=description, args=args, config=CONFIG
    )


__all__ = ["default_is", "dispatch", "parse"]

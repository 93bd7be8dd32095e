"""Flags from dataclasses and functions, the same way for every command."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from streamrnn.cli.starting import starting
from streamrnn.suggestions import did_you_mean

T = TypeVar("T")

CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.PositionalMetavarFromFieldName,
)


def parse(settings: type[T], command: str, args: list[str]) -> T:
    """The settings that the arguments give; help and wrong flags end the process, with status 0 and 2."""
    with starting():
        return tyro.cli(settings, prog=f"streamrnn {command}", args=args, config=CONFIG)


def given(flags: Any, but: Collection[str] = ()) -> list[str]:
    """The flags of a dataclass that differ from their defaults, as they are typed; not the fields in `but`."""
    fields: Any = dataclasses.fields(flags)
    changed = (f.name for f in fields if f.name not in but and getattr(flags, f.name) != f.default)
    return [f"--{name.replace('_', '-')}" for name in changed]


def device_of(text: str | None) -> int | str | None:
    """A sound device as PortAudio takes it: its number, or a part of its name; None: the system's."""
    return int(text) if text is not None and text.isdigit() else text


def default_is(what: str) -> Any:
    """Annotates a flag whose default is None: what the help says of it instead."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


def show_defaults(settings: type[T], **defaults: str) -> type[T]:
    """The dataclass with these words as the defaults of fields in its help, where the field's own default is None."""
    fields: Any = dataclasses.fields(settings)  # pyright: ignore[reportArgumentType]
    hints = get_type_hints(settings, include_extras=True)
    changed = [
        (f.name, Annotated[hints[f.name], default_is(defaults[f.name])], f) for f in fields if f.name in defaults
    ]
    with_hints: Any = dataclasses.make_dataclass(
        settings.__name__, changed, bases=(settings,), frozen=True, namespace={"__doc__": settings.__doc__}
    )
    return with_hints


def dispatch(functions: dict[str, Callable[..., None]], command: str, args: list[str], description: str) -> Any:
    """Calls the function that the first argument names, with flags from its signature and help from its docstring.

    Raises:
        ValueError: it names none.
    """
    first = args[0] if args else ""
    if first not in {*functions, "-h", "--help"}:
        came = f"{first!r} came" if args else "none came"
        meant = did_you_mean(first, functions)
        raise ValueError(f"{command} needs a subcommand, {came}.{meant} Choose one of: {', '.join(functions)}.")
    if first in functions:
        # By itself, so that errors name this subcommand, and its settings as they are called.
        return tyro.cli(functions[first], prog=f"streamrnn {command} {first}", args=args[1:], config=CONFIG)
    return tyro.extras.subcommand_cli_from_dict(
        functions, prog=f"streamrnn {command}", description=description, args=args, config=CONFIG
    )


__all__ = ["default_is", "device_of", "dispatch", "given", "parse", "show_defaults"]

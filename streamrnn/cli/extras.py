"""Which optional part of the package brings a module that is missing."""

import re
from importlib import metadata

# Everything for those who work on the package itself, and so in no other way the answer.
_FOR_DEVELOPERS = "dev"


def advice(error: ModuleNotFoundError) -> str | None:
    """What to install where this failed; None if the module is none of an extra's."""
    module = (error.name or "").partition(".")[0]
    extra = _extras().get(_plain(module))
    if extra is None:
        return None
    return f'this needs the package {module}, which is not installed. Install it: pip install "streamrnn[{extra}]"'


def _extras() -> dict[str, str]:
    """Name of a distribution, written plainly -> the extra that asks for it."""
    try:
        asked_for = metadata.requires("streamrnn") or []
    # Run from its sources, without having been installed.
    except metadata.PackageNotFoundError:
        return {}
    extras: dict[str, list[str]] = {}
    for line in asked_for:
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)['\"]", line)
        if name and extra and extra[1] != _FOR_DEVELOPERS:
            extras.setdefault(extra[1], []).append(_plain(name[0]))
    found: dict[str, str] = {}
    # Some extras contain others, and name what those bring: the smallest is the one that is about it.
    for extra, names in sorted(extras.items(), key=lambda item: len(item[1])):
        for name in names:
            found.setdefault(name, extra)
    return found


def _plain(name: str) -> str:
    """Modules and distributions differ in dashes and capitals only: prometheus_client, tensorboardX."""
    return re.sub(r"[-_.]+", "-", name).lower()


__all__ = ["advice"]

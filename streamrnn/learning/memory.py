"""Devices that run out of memory."""

import re


def shortage(said: str) -> str | None:
    """The line of an XLA error about lack of memory, with readable sizes; None if there is none."""
    # On a GPU a single buffer is refused, at run time; a TPU's compiler refuses the program; others wrap such errors.
    lines = [line for line in said.splitlines() if re.search("RESOURCE_EXHAUSTED|out.of.memory", line, re.IGNORECASE)]
    if not lines:
        return None
    told = re.sub(r"^.*RESOURCE_EXHAUSTED: ", "", lines[0]).strip().rstrip(".")
    return re.sub(r"(\d+) bytes", lambda found: f"{found[0]} ({int(found[1]) / 2**20:,.2f} MiB)", told)


__all__ = ["shortage"]

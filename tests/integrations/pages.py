"""The examples of docs/voice-agents.md, by the package that they are for."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "voice-agents.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example(package: str) -> str:
    """The code whose first line is the package's name, as a comment."""
    (found,) = [block for block in FENCE.findall(PAGE.read_text()) if block.startswith(f"# {package}\n")]
    return found

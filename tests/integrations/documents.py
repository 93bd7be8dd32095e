"""The examples of docs/integrations.md, to be run by the tests of what they show."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(section: str, replaced: dict[str, str]) -> list[str]:
    """The Python blocks below a heading of the page, with words in them replaced (a port, an address)."""
    page = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    blocks = PYTHON.findall(dict(SECTION.findall(page))[section])
    assert blocks, f"{section} has no example"
    for old, new in replaced.items():
        assert any(old in block for block in blocks), f"no example has {old}"
        blocks = [block.replace(old, new) for block in blocks]
    return blocks


def run_example(block: str) -> None:
    """Runs a block, from the folder of the checkout, as those who copy it do."""
    exec(compile(block, "docs/integrations.md", "exec"), {"__name__": "__main__"})

"""docs/own-model.md is true: its Python runs in order, what it says is printed is printed, its links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "own-model.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)


def test_all_that_the_page_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, names, printed = PAGE.read_text(), {"__name__": "own_model"}, io.StringIO()
    blocks = FENCE.findall(text)
    assert len(blocks) > 8
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            # On the lines that they have on the page, for errors.
            before = text[: text.index(block)].count("\n")
            exec(compile("\n" * before + block, str(PAGE), "exec"), names)
    assert printed.getvalue().splitlines() == PRINTED.findall(text)


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#\s]+)\)", PAGE.read_text())
    assert links and all((PAGE.parent / link).exists() for link in links)

"""What holds without any of the other packages: clear errors where they are missing, and the page's own loop."""

import importlib
import sys

import pytest

from tests.integrations.pages import FENCE, PAGE


@pytest.mark.parametrize(
    ("door", "package", "said"),
    [("livekit", "livekit", "livekit-agents 1.8 or newer"), ("pipecat", "pipecat", "pipecat-ai 1.14 or newer")],
)
def test_a_package_that_is_missing_is_named_with_its_extra(door, package, said, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"streamrnn.integrations.{door}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{said}.*streamrnn\[{door}\]"):
        importlib.import_module(f"streamrnn.integrations.{door}")


def test_the_loop_of_the_page_runs(capsys):
    [loop] = [block for block in FENCE.findall(PAGE.read_text()) if not block.startswith("#")]
    exec(compile(loop, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert said.count("the bot falls silent") == said.count("samples for a recogniser") == 4

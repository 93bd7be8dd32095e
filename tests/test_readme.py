"""README.md and the pages in GUIDES are true: what they have run runs, prints what they show, and links lead somewhere.

Python blocks run in order in one namespace; a text block right behind one shows what it prints. In console blocks, what
begins with `streamrnn` runs, up to a pipe or a redirection; below a prompt (`$ `) stands its output, in which `...` is
anything. Statements and commands that end in the comment `# needs a microphone`, `# needs a server`, `# needs your
recordings` or `# runs until Ctrl-C` are skipped.
"""

import ast
import doctest
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import jax
import pytest

from streamrnn.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDES = [
    README,
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("listening", "many-streams", "silero", "figures", "index", "recurrent-networks")
    ),
]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|(?<=\| ))streamrnn .*")
NEEDS = re.compile(r"# (?:needs|runs) (a microphone|a server|your recordings|a model that fits|until Ctrl-C)")
LINK = re.compile(r"""\]\(([^)\s]+)|(?:src|href)="([^"]+)""")
EXAMPLE = re.compile(r"examples/\w+\.py")


@dataclass(frozen=True)
class Statement:
    """A top-level statement of a Python block, and the line of the document at which it begins."""

    text: str
    line: int
    needs: str | None


@dataclass(frozen=True)
class Command:
    """A command line, the arguments of `streamrnn` in it, and the output shown below it."""

    text: str
    arguments: list[str]
    shown: str
    needs: str | None


def code_blocks(document: str, *languages: str) -> Iterator[tuple[str, int]]:
    """The text of each block in these languages, and the line of the document at which it begins."""
    for match in FENCE.finditer(document):
        if match[1] in languages:
            yield match[2], 1 + document.count("\n", 0, match.start(2))


def needs(text: str) -> str | None:
    found = NEEDS.search(text)
    return found[1] if found else None


def python_statements(document: str) -> Iterator[Statement]:
    for text, line in code_blocks(document, "python"):
        lines = text.splitlines()
        for node in ast.parse(text).body:
            # A definition's own line is that of its name; decorators stand above.
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
            source = "\n".join(lines[first - 1 : node.end_lineno])
            yield Statement(source, line + first - 1, needs(source))


def commands(document: str) -> Iterator[Command]:
    for text, _ in code_blocks(document, "console", "bash", "sh", "shell"):
        text = text.replace("\\\n", " ")
        for line, shown in prompts(text) if text.startswith("$ ") else ((line, "") for line in text.splitlines()):
            if called := COMMAND.search(line):
                yield Command(line, arguments(called[0]), shown, needs(line))


def prompts(text: str) -> Iterator[tuple[str, str]]:
    """Each line after a prompt, and the lines up to the next prompt."""
    for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = session.partition("\n")
        yield line, shown


def arguments(line: str) -> list[str]:
    """The words after the program's name; a comment, a pipe or a redirection ends them."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(takewhile(lambda word: not set(word) <= set("|<>&;"), words))[1:]


def run_statement(statement: Statement, namespace: dict[str, Any]) -> None:
    # The empty lines make tracebacks point into the document.
    exec(compile("\n" * (statement.line - 1) + statement.text, "README.md", "exec"), namespace)


def exit_status(words: list[str]) -> int:
    """The status of the command, which argument parsers hand over as an exception."""
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)


def as_shown(shown: str, printed: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(shown, printed, flags)


@pytest.fixture
def in_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory looks like the repository's root, but what is written there stays out of it."""
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    # configure() would change the whole process, in which other tests run; it has tests of its own.
    monkeypatch.setattr(jax.config, "update", MagicMock())


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_python_of_the_guides_runs_and_prints_what_they_show(guide, in_checkout, subtests, capsys):
    namespace: dict[str, Any] = {"__name__": "__main__"}
    document = guide.read_text()
    if guide != README:
        # The guides go on where the README's first lines end.
        exec("import numpy as np, streamrnn; model = streamrnn.load('vad')", namespace)
    for statement in python_statements(document):
        with subtests.test(statement.text.partition("\n")[0]):
            if statement.needs:
                pytest.skip(f"needs {statement.needs}")
            run_statement(statement, namespace)
    # In their order, and anything between them.
    shown = "...".join(["", *(text.strip() for _, text in SHOWN.findall(document)), ""])
    assert as_shown(shown, capsys.readouterr().out)


def test_the_first_lines_for_voice_agents_print_what_they_show(capsys):
    document = (ROOT / "docs" / "voice-agents.md").read_text()
    code, shown = next(SHOWN.finditer(document)).groups()
    exec(compile(code, "voice-agents.md", "exec"), {"__name__": "__main__"})
    assert as_shown(shown, capsys.readouterr().out)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_commands_of_the_guides_run_and_print_what_they_show(guide, in_checkout, subtests, capsys):
    for command in commands(guide.read_text()):
        with subtests.test(command.text):
            if command.needs:
                pytest.skip(f"needs {command.needs}")
            status = exit_status(command.arguments)
            out, err = capsys.readouterr()
            assert status == 0, err
            assert not command.shown or as_shown(command.shown, out + err), out + err


def test_the_readme_has_something_to_run():
    document = README.read_text()
    assert SHOWN.search(document)
    for found in (python_statements(document), commands(document)):
        assert sum(each.needs is None for each in found) > 3


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_what_the_guides_point_to_is_there(guide):
    text = guide.read_text()
    links = {link for found in LINK.findall(text) for link in found if link}
    local = {link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)}
    assert [name for name in sorted(local) if not (guide.parent / name).exists()] == []
    assert [name for name in sorted(set(EXAMPLE.findall(text))) if not (ROOT / name).exists()] == []


SAMPLE = """\
# A sample

```python
import json

numbers = [
    1,
]  # two lines
for chunk in microphone:  # needs a microphone
    print(chunk)
numbers.append(2)
```

```text
streamrnn is not run here
```

```python
numbers.append(1 / 0)
```

```console
$ streamrnn models
vad  ...
$ streamrnn run vad mic --json | your_program  # needs a microphone
$ ls
audio_samples
```

```bash
pip install streamrnn
streamrnn run vad "a file.wav" \\
    --plot demo.png  # a picture
streamrnn train vad --data speech > log.txt  # needs your recordings
arecord -r 16000 | streamrnn run vad -  # needs a microphone
```
"""


def test_statements_know_their_lines_and_what_they_need():
    assert [(each.text.split("\n")[0], each.line, each.needs) for each in python_statements(SAMPLE)] == [
        ("import json", 4, None),
        ("numbers = [", 6, None),
        ("for chunk in microphone:  # needs a microphone", 9, "a microphone"),
        ("numbers.append(2)", 11, None),
        ("numbers.append(1 / 0)", 19, None),
    ]


def test_statements_share_a_namespace_and_errors_point_into_the_document():
    namespace: dict[str, Any] = {}
    *good, bad = (statement for statement in python_statements(SAMPLE) if statement.needs is None)
    for statement in good:
        run_statement(statement, namespace)
    assert namespace["numbers"] == [1, 2]
    with pytest.raises(ZeroDivisionError) as raised:
        run_statement(bad, namespace)
    place = raised.traceback[-1]
    assert (Path(place.path).name, place.lineno + 1) == ("README.md", 19)


def test_commands_end_at_a_comment_a_pipe_or_a_redirection():
    assert [(command.arguments, command.needs) for command in commands(SAMPLE)] == [
        (["models"], None),
        (["run", "vad", "mic", "--json"], "a microphone"),
        (["run", "vad", "a file.wav", "--plot", "demo.png"], None),
        (["train", "vad", "--data", "speech"], "your recordings"),
        (["run", "vad", "-"], "a microphone"),
    ]


def test_shown_output_belongs_to_the_command_above_it():
    assert [command.shown for command in commands(SAMPLE)] == ["vad  ...\n", "", "", "", ""]


@pytest.mark.parametrize(("printed", "fits"), [("vad 1 MB\nkws\n", True), ("kws\nvad 1 MB\n", False), ("", False)])
def test_dots_in_shown_output_stand_for_anything(printed: str, fits: bool):
    assert as_shown("vad ...\n", printed) is fits


def test_a_command_that_only_explains_itself_succeeds(capsys):
    assert exit_status(["run", "--help"]) == 0
    assert "streamrnn run" in capsys.readouterr().out
    assert exit_status(["no_such_command"]) != 0

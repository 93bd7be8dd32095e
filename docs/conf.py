"""Sphinx's settings. `make docs` builds the site; every warning is an error."""

import inspect
import re

import streamrnn

project = "streamrnn"
author = "The streamrnn developers"
project_copyright = author
release = version = streamrnn.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
# Notebooks run at every build: what they show is what comes.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
html_theme = "furo"
html_title = "streamrnn"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
# Several classes have a `settings`; docstrings that name it mean their own.
suppress_warnings = ["ref.python"]
exclude_patterns = ["compare", "performance/*.json"]

BEYOND = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)[^)]*\)")
INDENT = re.compile(r" *")


def name_files(app, name: str, source: list[str]) -> None:
    """Pages link to files of the repository that no site has: there, the file is named."""
    source[0] = BEYOND.sub(lambda link: f"{link[1]} (`{link[2].removeprefix('../')}`)", source[0])


def as_restructured_text(app, what, name, of, options, lines: list[str]) -> None:
    """Docstrings are plain text with code in single backticks and formulas in indented blocks."""
    text, before, literal = [], 0, 0
    for line in lines:
        indent = len(INDENT.match(line)[0])
        if line.strip():
            if text[-1:] == [""] and indent >= before + 4:
                text += [" " * before + "::", ""]
                literal = indent
            elif indent < literal:
                literal = 0
            before = indent if not literal else before
        text.append(line if literal else escaped(line))
    lines[:] = text


def escaped(line: str) -> str:
    """Single backticks doubled; what reStructuredText would take for markup outside of them is escaped."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        return line
    return "``".join(part if i % 2 else re.sub(r"([*|]|_\b)", r"\\\1", part) for i, part in enumerate(parts))


def signature(app, what, name, of, options, shown: str, returns: str) -> tuple[str, str] | None:
    """What a class is built from: Flax's metaclass hides it."""
    if what != "class" or of.__init__ is object.__init__:
        return None
    others = list(inspect.signature(of.__init__).parameters.values())[1:]
    return str(inspect.Signature(others)), ""


def setup(app) -> None:
    app.connect("source-read", name_files)
    app.connect("autodoc-process-signature", signature)
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)

"""The page's files: all there, all in the package, and nothing that a strict security policy refuses."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "streamrnn" / "serve" / "page"
FILES = sorted(path for path in PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
# A name of SVG's, which nobody loads.
NAMESPACE = "http://www.w3.org/2000/svg"


class Elements(HTMLParser):
    """All elements of a page, as (name, attributes), and the text inside of scripts and styles."""

    def __init__(self, path: Path):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module", params=["index", "items"])
def page(request: pytest.FixtureRequest) -> Elements:
    return Elements(PAGE / f"{request.param}.html")


def test_a_page_refers_only_to_files_beside_it(page: Elements):
    references = [
        value for _, attributes in page.found for name, value in attributes.items() if name in ("src", "href")
    ]
    assert {"main.js", "items.js"} & set(references)
    assert [name for name in references if not (PAGE / str(name)).is_file()] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_only_files_beside_it(script: Path):
    imported = re.findall(r"""(?:from|import\(|new URL\()\s*["'](.+?)["']""", script.read_text())
    assert [name for name in imported if not (PAGE / name).is_file()] == []


def test_every_file_is_used():
    text = "".join(path.read_text() for path in FILES)
    assert [path.name for path in FILES if path.name != "index.html" and path.name not in text] == []


def test_all_files_are_of_kinds_that_the_package_carries():
    assert {path.suffix for path in FILES} == {".html", ".css", ".js", ".svg"}
    assert [path.name for path in FILES if path.name.startswith(".") or not path.is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_other_host_is_named(path: Path):
    text = path.read_text().replace(NAMESPACE, "")
    assert re.findall(r"(?:https?|wss?):?//[\w.]+|url\(\s*['\"]?//", text) == []


def test_no_script_or_style_is_inline(page: Elements):
    assert page.inline == ""
    assert [attributes for tag, attributes in page.found if tag == "script" and "src" not in attributes] == []
    inline = [
        (tag, name) for tag, attributes in page.found for name in attributes if name == "style" or name.startswith("on")
    ]
    assert inline == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_code_or_markup_from_text(script: Path):
    forbidden = (
        r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|setAttribute\(\s*[\"']style"
    )
    assert re.findall(forbidden, script.read_text()) == []


def test_every_element_that_a_script_asks_for_is_there():
    pages = [Elements(path) for path in FILES if path.suffix == ".html"]
    ids = {attributes["id"] for page in pages for _, attributes in page.found if "id" in attributes}
    asked = {name for script in SCRIPTS for name in re.findall(r'byId\("([\w-]+)"\)', script.read_text())}
    assert len(asked) > 20
    assert asked <= ids


def test_every_control_has_a_name(page: Elements):
    labelled = {attributes.get("for") for tag, attributes in page.found if tag == "label"}
    inputs = [attributes for tag, attributes in page.found if tag in ("input", "select")]
    named_by_label_around = [a for a in inputs if a.get("type") in ("radio", "checkbox")]
    nameless = [
        a for a in inputs if a not in named_by_label_around and a.get("id") not in labelled and "aria-label" not in a
    ]
    assert nameless == []

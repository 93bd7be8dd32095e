"""Model cards: what whoever ships a model has to know of it."""

import re
from pathlib import Path

import pytest

import streamrnn.pretrained
from streamrnn.cli.card import checked
from streamrnn.pretrained import shipped
from streamrnn.pretrained.cards import PARTS, TEMPLATE, missing_parts, weights_digest
from streamrnn.pretrained.hub import with_front_matter

FOLDER = Path(streamrnn.pretrained.__path__[0])


def card(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text()


@pytest.mark.parametrize("name", shipped())
def test_a_card_of_what_learned_share_alike_sound_says_what_that_means(name):
    sources = "".join(card(of) for of in (name, *re.findall(r"card of `?\[?(vad|digits-ctc)\b", card(name))))
    if re.search(r"BY-SA|GPL", sources):
        [said] = re.findall(r"^\*\*Share-alike\.\*\*.*?\n\n", card(name), re.MULTILINE | re.DOTALL)
        assert "adaptation" in said and re.search(r"\btrains?( anew)? without", " ".join(said.split()))


@pytest.mark.parametrize("name", shipped())
def test_the_card_of_every_shipped_model_is_complete(name):
    assert missing_parts(card(name)) == []


def test_a_template_names_every_part_and_fills_none():
    template = TEMPLATE.format(name="m", digest="0" * 12)
    for section in ("Training", "Consent", "Figures", "Audit", "Known weaknesses"):
        assert f"## {section}" in template
    assert len(missing_parts(template)) == 7 and len(missing_parts("")) == len(PARTS)


def test_a_card_that_is_not_there_or_lacks_parts_or_is_of_other_weights_is_found(tmp_path):
    weights = tmp_path / "m.safetensors"
    weights.write_bytes(b"numbers")
    with pytest.raises(FileNotFoundError, match="--template"):
        checked(weights)
    (tmp_path / "m.md").write_text(card("vad"), encoding="utf-16")
    with pytest.raises(ValueError, match=r"m\.md is not in UTF-8"):
        checked(weights)
    (tmp_path / "m.md").write_text(card("vad").replace("## Consent", "## Consents"))
    with pytest.raises(ValueError, match=r"lacks:\n  - a section Consent"):
        checked(weights)
    (tmp_path / "m.md").write_text(card("vad"))
    assert f"here {weights_digest(weights)}): audit them again" in checked(weights)


def test_a_licence_of_several_lines_is_replaced_whole_on_the_page_of_a_hub():
    page = with_front_matter("---\nlicense:\n- mit\n- gpl-3.0\nlanguage:\n  - en\n---\n# Mine\n", None, "cc-by-4.0")
    assert page == (
        "---\nlibrary_name: streamrnn\nlicense: cc-by-4.0\nlanguage:\n  - en\n"
        "tags:\n- streaming\n- audio\n---\n\n# Mine\n"
    )

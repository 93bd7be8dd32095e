"""The page of models that take no sound, in a real browser: what is typed, drawn and opened there is answered."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.system

SEVEN = [(10, 10), (50, 5), (90, 5), (75, 30), (60, 55), (50, 75), (45, 90), (40, 100)]
WAIT_MS = 20_000


@pytest.fixture
def cards(desk, own_server):
    """A server of such models alone, and its page."""
    server = own_server("forecast", "intent", "pen")
    page = desk.open(server.url).page
    page.wait_for_url("**/items.html")
    expect(page.locator(".state[data-state=live]")).to_have_count(3, timeout=WAIT_MS)
    yield server, page
    # Before the server ends: its pages would complain.
    page.close()


def draw(page: Page, points) -> None:
    pad = page.get_by_label("pen", exact=True).locator("canvas")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    places = [(box["x"] + box["width"] * (x + 20) / 140, box["y"] + box["height"] * (y + 20) / 140) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def test_a_query_is_answered_while_it_is_typed_and_a_changed_one_anew(cards):
    _, page = cards
    card = page.get_by_label("intent", exact=True)
    card.locator("textarea").press_sequentially("please transfer a hundred dollars from checking to savings ")
    expect(card.locator(".answer")).to_have_text("transfer", timeout=WAIT_MS)
    expect(card.locator(".along")).to_have_text(re.compile(r"savings \[transfer\]"))
    card.locator("textarea").fill("what is the weather going to be like in paris tomorrow")
    expect(card.locator(".answer")).to_have_text("weather", timeout=WAIT_MS)
    card.locator("textarea").fill("who painted the ceiling of the sistine chapel?")
    expect(card.locator(".answer")).to_have_text("a person", timeout=WAIT_MS)


def test_a_digit_is_known_that_is_drawn(cards):
    _, page = cards
    draw(page, SEVEN)
    card = page.get_by_label("pen", exact=True)
    expect(card.locator(".answer")).to_have_text("7", timeout=WAIT_MS)
    expect(card.locator(".along")).to_have_text(re.compile(r"after each of 8 points: (\d ){7}7"))
    card.get_by_role("button", name="Clear").click()
    expect(card.locator(".answer")).to_have_text("")


def test_a_table_is_forecast_row_by_row_and_what_cannot_be_used_is_said(cards, tmp_path: Path):
    _, page = cards
    hours = np.arange(40)
    rows = [f"2018-06-{26 + hour // 24} {hour % 24:02}:00:00,10,3,8,1,3,1,{10 + hour % 24}" for hour in hours]
    table = tmp_path / "table.csv"
    # In quotes, as some programs write tables, and without a header.
    table.write_text("\n".join('"' + row.replace(",", '","') + '"' for row in rows))
    card = page.get_by_label("forecast", exact=True)
    card.locator("input[type=file]").set_input_files(table)
    told = re.compile(r"now 25\.0, in 96 rows -?\d+\.\d \(80 %:")
    expect(card.locator(".answer")).to_have_text(told, timeout=WAIT_MS)
    expect(card.get_by_label("Column")).to_have_value("OT")
    other = tmp_path / "other.csv"
    other.write_text("date,a\n2018-06-26 00:00:00,one\n")
    card.locator("input[type=file]").set_input_files(other)
    expect(card.locator(".left")).to_have_text(re.compile("^Line 2 cannot be used"), timeout=WAIT_MS)
    other.write_text("date,a\n" + "2018-06-26 00:00:00,1\n" * 30)
    with page.expect_file_chooser() as chosen:
        card.locator("input[type=file]").click()
    chosen.value.set_files(other)
    expect(card.locator(".left")).to_contain_text("No line of this table can be used", timeout=WAIT_MS)
    page.wait_for_timeout(500)
    expect(card.locator(".state")).to_have_attribute("data-state", "live")


def test_lines_that_cannot_be_used_stay_out_of_the_chart_and_of_what_a_new_server_is_told(cards, desk, tmp_path: Path):
    server, page = cards
    rows = [f"2018-06-26 {hour:02}:00:00,10,3,8,1,3,1,{hour}" for hour in range(24)]
    rows[5], rows[9] = "2018-06-26 05:00:00,one,3,8,1,3,1,5", "2018-06-26 09:00:00,10"
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT", *rows]))
    card = page.get_by_label("forecast", exact=True)
    card.locator("input[type=file]").set_input_files(table)
    expect(card.locator(".answer")).to_have_text(re.compile(r"now 23\.0"), timeout=WAIT_MS)
    expect(card.locator(".left")).to_have_text(re.compile(r"^2 lines are left out. Line 11 cannot be used"))
    before = card.locator(".answer").text_content()
    server.kill()
    expect(card.locator(".state")).to_have_attribute("data-state", "lost", timeout=WAIT_MS)
    # Opened while nobody answers, it is sent in large messages afterwards.
    card.locator("input[type=file]").set_input_files([])
    card.locator("input[type=file]").set_input_files(table)
    page.wait_for_timeout(2000)
    server.start()
    expect(card.locator(".answer")).to_have_text(before or "", timeout=WAIT_MS)
    expect(card.locator(".left")).to_have_text(re.compile(r"^2 lines are left out. Line 11 cannot be used"))
    desk.forgive("WebSocket", "ERR_CONNECTION", "Failed to load resource")


def test_a_server_that_comes_back_is_told_again(cards, desk):
    server, page = cards
    card = page.get_by_label("intent", exact=True)
    card.locator("textarea").fill("please transfer a hundred ")
    expect(card.locator(".along")).to_have_text(re.compile(r"hundred"), timeout=WAIT_MS)
    server.kill()
    expect(card.locator(".state")).to_have_attribute("data-state", "lost", timeout=WAIT_MS)
    card.locator("textarea").press_sequentially("dollars from checking to savings ")
    server.start()
    expect(card.locator(".answer")).to_have_text("transfer", timeout=WAIT_MS)
    desk.forgive("WebSocket", "ERR_CONNECTION", "Failed to load resource")


def test_both_kinds_of_models_have_their_page(desk, own_server):
    server = own_server("vad", "pen")
    visit = desk.visit(server.url)
    expect(visit.page.locator("#model option")).to_have_text(["vad"])
    visit.page.get_by_role("link", name="Text, pens, tables").click()
    expect(visit.page.get_by_label("pen", exact=True)).to_be_visible()
    visit.page.get_by_role("link", name="Models that hear").click()
    expect(visit.page.locator("#microphone")).to_be_enabled(timeout=WAIT_MS)
    visit.page.close()

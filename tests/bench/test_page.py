"""The page on performance and its plot say what the numbers beside them say."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from bench.__main__ import parser
from bench.contest import DIY, POSTGRES, SQLITE
from bench.measure import Result
from bench.told import Grown, Told, read

from bench import marks, page, plot


def result(side, own_us, **said):
    return Result("link", side, 64, 1000, 500.0, 5.0, 20.0, own_us, 0.0, 0.3, **said)


TOLD = Told(
    results=[result(SQLITE, 250.0), result(DIY, 5_000.0)],
    grown=[
        Grown("link", side, users, 0, cost, 10.0)
        for side in (SQLITE, POSTGRES)
        for users, cost in ((10, 50.0), (1000, 60.0))
    ],
)


def test_the_page_says_what_was_measured():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text, read(page.NUMBERS)) == text, "run `python -m bench --read ... --write`"


def test_the_plot_shows_what_was_measured():
    assert plot.draw(read(page.NUMBERS)) == page.PLOT.read_text(encoding="utf-8")


def test_what_is_not_kept_is_listed_as_that():
    text = page.page(page.PAGE.read_text(encoding="utf-8"), TOLD)
    listed = text.partition("Not kept:")[2].partition("![")[0]
    assert "link on SQLite against DIY, per core-second" not in listed  # 20 times
    assert listed.count("\n- ") == 0
    slower = Told(results=[result(SQLITE, 1_000.0), result(DIY, 5_000.0)])
    text = page.page(text, slower)
    assert "- link on SQLite against DIY, per core-second: 5.0 times, promised at least 12 times." in text


def test_a_bar_is_as_long_as_its_number_and_the_picture_is_whole():
    drawn = ET.fromstring(plot.draw(TOLD))
    bars = {rect.get("fill"): float(rect.get("width")) for rect in drawn.iter("{http://www.w3.org/2000/svg}rect")}
    assert bars["#1b6ca8"] > bars["#c8553d"] > 0
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) == 2
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "4,000" in texts
    assert "200" in texts


def test_each_decade_is_as_wide_as_any_other():
    scale = plot.Scale(20.0, 9_000.0, 0.0, 300.0)
    assert [scale.at(decade) for decade in scale.decades()] == pytest.approx([0.0, 100.0, 200.0, 300.0])
    assert scale.at(math.sqrt(10) * 100) == pytest.approx(150.0)
    assert scale.at(1.0) == 0.0


def test_a_page_without_a_place_is_refused():
    with pytest.raises(ValueError, match="no place for 'promises'"):
        marks.fill("# A page", {"promises": ""})


def test_every_command_of_the_page_is_one():
    asked = re.findall(r"^python -m bench(.*?)(?:  .*)?$", page.PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(asked) >= 3
    for words in asked:
        assert parser().parse_args(words.split())


def test_no_table_of_the_page_has_a_line_of_another_width():
    text = page.PAGE.read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table

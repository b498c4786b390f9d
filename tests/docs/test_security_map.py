"""The page that maps claims to tests names tests that are there, chapters that are there, and every control."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT

from unbroken.attack.chapters import CHAPTERS

PAGE = ROOT / "docs" / "explanation" / "security.md"
HOW_TO = ROOT / "docs" / "how-to" / "attack-your-platform.md"
TEXT = PAGE.read_text(encoding="utf-8")
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
MASVS = {
    "STORAGE": 2, "CRYPTO": 2, "AUTH": 3, "NETWORK": 2, "PLATFORM": 3, "CODE": 4, "RESILIENCE": 4, "PRIVACY": 4,
}  # fmt: skip


def functions_in(path):
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_the_page_names_is_there():
    named = TEST.findall(TEXT)
    assert len(named) > 40
    missing = [f"{path}::{name}" for path, name in named if name not in functions_in(path)]
    assert missing == []


def test_every_line_names_a_test_or_says_what_is_missing():
    rows = [line for line in TEXT.splitlines() if re.match(r"\| (?:\d |API\d|[A-Z]+-\d)", line)]
    assert len(rows) > 30
    silent = [
        row
        for row in rows
        if not TEST.search(row) and not re.search(r"attack `|missing|Not of|Not claimed|app's|none", row)
    ]
    assert silent == []


def test_the_page_knows_every_rule_risk_and_control():
    assert re.findall(r"^\| (\d) ", TEXT, re.MULTILINE) == list("123456")
    assert re.findall(r"^\| API(\d+) ", TEXT, re.MULTILINE) == [str(number) for number in range(1, 11)]
    named = set(re.findall(r"\b([A-Z]+-\d)\b", TEXT))
    for first, last in re.findall(r"([A-Z]+-\d) to ([A-Z]+-\d)", TEXT):
        family = first.partition("-")[0]
        named |= {f"{family}-{number}" for number in range(int(first[-1]), int(last[-1]) + 1)}
    assert {f"{family}-{number}" for family, count in MASVS.items() for number in range(1, count + 1)} <= named


def words_in(text):
    return set(re.findall(r"`(\w+)`", text))


def test_the_chapters_it_names_are_those_of_the_suite():
    names = {chapter.name for chapter in CHAPTERS}
    said = {word for words in re.findall(r"attack ((?:`\w+`(?:, )?)+)", TEXT) for word in words_in(words)}
    assert said <= names
    cells = re.findall(r"^\| (`.*?) \|", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE)
    told = {word for cell in cells for word in words_in(cell)}
    assert told == names

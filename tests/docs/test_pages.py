from __future__ import annotations

import re

import pytest
from tests.docs.pages import PAGES, ROOT, anchors, links, name_of
from tools.reference import PAGES as GENERATED

GLOSSARY = ROOT / "docs" / "glossary.md"


@pytest.mark.parametrize("name", GENERATED)
def test_the_page_says_what_the_code_says(name):
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == GENERATED[name](), f"docs/reference/{name} is out of date: run `make reference`"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in set(anchors(target)), f"{link}: no such heading"


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        found = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
        waiting += [target for target in found if target.suffix == ".md" and target.exists()]
    assert {name_of(page) for page in PAGES} - {name_of(page) for page in reached} == set()


def test_every_page_has_one_title_and_it_stands_first():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert text.startswith("# "), name_of(page)
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1, name_of(page)


def test_the_glossary_owns_each_word_once_and_in_order():
    words = re.findall(r"^## (.+)$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    assert words == sorted(set(words), key=str.lower)
    assert len(words) > 20

"""No page and no example holds a credential, or shows one being written into a program."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import PAGES, ROOT, name_of

from unbroken.credentials import PREFIXES

SHOWN = [*PAGES, *sorted(ROOT.glob("examples/**/*.py"))]
CREDENTIAL = re.compile(rf"(?:{'|'.join(map(re.escape, PREFIXES.values()))})[0-9A-Za-z_-]{{20,}}")
WRITTEN_DOWN = re.compile(r"""Secret\(\s*f?["']|secret=\s*f?["']""")


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_nobody_learns_here_to_write_a_secret_down(page):
    text = page.read_text(encoding="utf-8")
    assert not CREDENTIAL.findall(text)
    assert not WRITTEN_DOWN.findall(text)


@pytest.mark.parametrize(
    "text",
    ["unb_app_" + "0" * 73, 'Secret("hush")', "secret = Secret('hush')", 'Config(secret="hush")', 'Secret(f"x")'],
)
def test_a_secret_that_is_written_down_would_be_found(text):
    assert CREDENTIAL.search(text) or WRITTEN_DOWN.search(text)

"""What a command prints may be a phone's own words: they are shown, and steer nothing."""

from __future__ import annotations

import json

from unbroken.cli.output import print_facts, print_json, print_table

WORDS = "Pixel\x1b]0;owned\x07\r\n\x9b2J\u202egnorw\u2066 9 é 電"
STEERING = set("\x1b\x07\r\x9b\u202e\u2066")


def test_facts_and_tables_show_what_would_steer_a_terminal(capsys):
    print_facts("An install", {"model": WORDS, "metadata": {WORDS: [WORDS]}})
    print_table(["MODEL"], [[WORDS]], empty="None.")
    printed = capsys.readouterr().out
    assert not set(printed) & STEERING
    assert printed.count(r"Pixel\x1b]0;owned\x07\r\n\x9b2J\u202egnorw\u2066 9 é 電") >= 2


def test_json_is_the_same_value_with_escapes(capsys):
    print_json({"model": WORDS})
    printed = capsys.readouterr().out
    assert not set(printed) & STEERING
    assert json.loads(printed) == {"model": WORDS}

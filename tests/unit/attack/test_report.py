"""A report counts what happened, and says what succeeded."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from unbroken.attack import run
from unbroken.attack.attack import Attack, Chapter, Outcome, Seen, Unjudged, Verdict, judged, refused
from unbroken.attack.exchange import NoReply, Reply
from unbroken.attack.report import Report, Told, as_json, as_markdown
from unbroken.cli import program


async def nothing():
    return Seen(True, "")


ATTACKS = [Attack(f"c/{verdict}", "all of it", "a wall", nothing) for verdict in Verdict]
OUTCOMES = tuple(
    Outcome("c", attack, verdict, f"saw {verdict}") for attack, verdict in zip(ATTACKS, Verdict, strict=True)
)
REPORT = Report("http://x", 0, (Told("c", "title", OUTCOMES, 0.5),))


def test_the_report_says_what_it_comes_to():
    assert REPORT.sentence == "3 attacks: 1 held, 1 succeeded, 1 could not be judged."
    page = as_markdown(REPORT)
    assert "| c | title | 3 | 1 | 1 | 1 | 0.5 |" in page
    assert "- `c/succeeded` would win: all of it. Wanted: a wall. Seen: `saw succeeded`" in page
    assert "c/held" not in page


def test_the_report_for_programs_has_every_attack():
    said = json.loads(json.dumps(as_json(REPORT)))
    assert (said["tried"], said["held"], said["succeeded"], said["unjudged"]) == (3, 1, 1, 1)
    assert [attack["verdict"] for attack in said["attacks"]] == ["held", "succeeded", "unjudged"]
    assert set(said["attacks"][0]) == {"id", "chapter", "wins", "defence", "verdict", "seen"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("raised", "verdict"),
    [
        (None, Verdict.HELD),
        (Unjudged("no"), Verdict.UNJUDGED),
        (KeyError("link_ticket"), Verdict.UNJUDGED),
        (NoReply("It hung up."), Verdict.SUCCEEDED),
    ],
)
async def test_a_platform_that_does_not_answer_has_lost_and_what_cannot_be_judged_counts_for_nothing(raised, verdict):
    async def attack():
        if raised is not None:
            raise raised
        return Seen(True, "held")

    async def attacks(_):
        yield Attack("c/a", "", "", attack)

    told = await run._chapter(Chapter("c", "", attacks), None)
    assert [outcome.verdict for outcome in told.outcomes] == [verdict]


@pytest.mark.anyio
async def test_a_chapter_that_cannot_be_prepared_is_not_passed_over():
    async def attacks(_):
        raise Unjudged("Nobody is there.")
        yield

    told = await run._chapter(Chapter("c", "", attacks), None)
    assert [(outcome.attack.id, outcome.verdict) for outcome in told.outcomes] == [("c/prepared", Verdict.UNJUDGED)]


def test_to_make_the_platform_fail_is_to_win_and_to_find_it_away_is_nothing():
    assert not judged(Reply(500, (), b'{"errorCode":"INTERNAL"}'), lambda _: True).held
    assert judged(Reply(400, (), b'{"errorCode":"X"}'), refused(400)).held
    assert not judged(Reply(400, (), b"Bad request"), refused(400)).held
    with pytest.raises(Unjudged):
        judged(Reply(503), refused(400))


def test_a_chapter_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no chapter mirrors; there are mirror, "):
        run.chosen(["mirrors"])
    assert [chapter.name for chapter in run.chosen(["races/code", "mirror"])] == ["mirror", "races"]


@pytest.mark.anyio
async def test_some_attacks_of_a_chapter_can_be_tried_and_a_name_that_fits_none_is_not_passed_over():
    async def attacks(_):
        for attack in ATTACKS:
            yield attack

    chapter = Chapter("c", "", attacks)
    for only, ids in {"c": 3, "c/held": 1, "c/h": 1}.items():
        assert len((await run._chapter(chapter, None, [only])).outcomes) == ids
    told = await run._chapter(chapter, None, ["c/other"])
    assert [outcome.verdict for outcome in told.outcomes] == [Verdict.UNJUDGED]


@pytest.mark.parametrize("words", [["http://127.0.0.1:1"], ["run", "http://127.0.0.1:1"], ["end"]])
def test_without_a_warrant_nothing_is_attacked(tmp_path, words):
    path = tmp_path / "none.json"
    for content in (None, "{}"):
        if content is not None:
            path.write_text(content)
        done = CliRunner().invoke(program, ["attack", *words, "--warrant", str(path)])
        assert done.exit_code == 1
        assert "unbroken attack prepare" in done.stderr

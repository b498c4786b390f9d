"""What was tried and what held: for people, for programs, and as a page to keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken import wire
from unbroken.attack.attack import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.attack.attack import Outcome


class Told(NamedTuple):
    """A chapter that was tried."""

    name: str
    title: str
    outcomes: tuple[Outcome, ...]
    took_s: float

    def count(self, verdict: Verdict) -> int:
        """How many attacks ended so."""
        return sum(outcome.verdict is verdict for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the suite; `at_ms` is when it ended."""

    url: str
    at_ms: int
    chapters: tuple[Told, ...]

    @property
    def outcomes(self) -> list[Outcome]:
        """All attacks, in the order they were tried."""
        return [outcome for told in self.chapters for outcome in told.outcomes]

    def of(self, verdict: Verdict) -> list[Outcome]:
        """The attacks that ended so."""
        return [outcome for outcome in self.outcomes if outcome.verdict is verdict]

    @property
    def sentence(self) -> str:
        """What it comes to."""
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        said = f"{len(self.outcomes)} attacks: {counts[Verdict.HELD]} held, {counts[Verdict.SUCCEEDED]} succeeded"
        unjudged = counts[Verdict.UNJUDGED]
        return said + (f", {unjudged} could not be judged." if unjudged else ".")


def as_json(report: Report) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "url": report.url,
        "at": wire.iso(report.at_ms),
        "tried": len(report.outcomes),
        **{str(verdict): len(report.of(verdict)) for verdict in Verdict},
        "attacks": [
            {
                "id": outcome.attack.id,
                "chapter": outcome.chapter,
                "wins": outcome.attack.wins,
                "defence": outcome.attack.defence,
                "verdict": str(outcome.verdict),
                "seen": outcome.what,
            }
            for outcome in report.outcomes
        ],
    }


def as_markdown(report: Report) -> str:
    """A page to keep."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Attacks on {report.url}"
    yield ""
    yield f"Ended {wire.iso(report.at_ms)}. {report.sentence}"
    yield ""
    yield "| chapter | what it tries | tried | held | succeeded | unjudged | s |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for told in report.chapters:
        counts = " | ".join(str(told.count(verdict)) for verdict in Verdict)
        yield f"| {told.name} | {told.title} | {len(told.outcomes)} | {counts} | {told.took_s:.1f} |"
    for verdict in (Verdict.SUCCEEDED, Verdict.UNJUDGED):
        found = report.of(verdict)
        if found:
            yield ""
            yield f"## {str(verdict).capitalize()}"
            yield ""
            for outcome in found:
                attack = outcome.attack
                yield f"- `{attack.id}` would win: {attack.wins}. Wanted: {attack.defence}. Seen: `{outcome.what}`"

"""The states of an install and of the SDK: tables and diagrams, from the tables of transitions in the code."""

from __future__ import annotations

from collections import defaultdict

from tools.reference import markdown
from unbroken.domain.install import TRANSITIONS, Event, Next, Rule, State
from unbroken.sdk.init_state import TRANSITIONS as INIT_TRANSITIONS
from unbroken.server.problems import STATUS

INTRO = """\
The server's word on an install, told to its SDK in every reply, together with the reason. An install is linked or not
besides; an unlinked one is `active` on its own user. While a user is disabled its installs are told `disabled`."""

SDK_INTRO = """\
Where the SDK itself stands, in the names of the mobile SDKs. A move that is not in the table raises `SdkError`."""


def page() -> str:
    """docs/reference/states.md."""
    parts = [
        markdown.heading(
            "States",
            "`src/unbroken/domain/install.py` and `src/unbroken/sdk/init_state.py`",
            "## Of an install\n\n" + INTRO,
        ),
        _table(),
        _diagram(),
        f"## Of the SDK\n\n{SDK_INTRO}\n",
        _sdk_table(),
        _sdk_diagram(),
    ]
    return "\n".join(parts)


def _table() -> str:
    rows = [[f"**{state}**", *(_cell(TRANSITIONS[state, event]) for event in Event)] for state in State]
    return markdown.table(["in state", *Event], rows)


def _cell(next_: Next) -> str:
    match next_:
        case State():
            return next_.value
        case Rule():
            return next_.value
        case refusal:
            return f"{STATUS[refusal]} [`{refusal.code}`](errors.md#{refusal.code.lower()})"


def _diagram() -> str:
    arrows: defaultdict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, event), next_ in TRANSITIONS.items():
        if isinstance(next_, Rule):
            for back in (State.ACTIVE, State.STANDBY, State.SUPERSEDED):
                arrows[state, back].append(f"{event} (if it was)")
        elif isinstance(next_, State) and next_ is not state:
            arrows[state, next_].append(event.value)
    lines = ["stateDiagram-v2", "    [*] --> active : registered"]
    lines += [f"    {one} --> {other} : {' / '.join(events)}" for (one, other), events in arrows.items()]
    return markdown.fence("mermaid", "\n".join(lines))


def _sdk_table() -> str:
    rows = [(one.value, _words(event.name), other.value) for (one, event), other in INIT_TRANSITIONS.items()]
    return markdown.table(("in state", "event", "next"), rows)


def _sdk_diagram() -> str:
    lines = ["stateDiagram-v2", "    [*] --> NOT_INITIALIZED"]
    lines += [f"    {one.value} --> {other.value} : {_words(e.name)}" for (one, e), other in INIT_TRANSITIONS.items()]
    return markdown.fence("mermaid", "\n".join(lines))


def _words(name: str) -> str:
    return name.replace("_", " ").lower()

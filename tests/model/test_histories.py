"""Random histories: the server and the naive model agree on every answer, and the laws of linking.md hold.

On every engine: `make test` plays a few, `make prove` many (`UNBROKEN_HISTORIES`). A failing one is printed as a
short program.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.engines import CLUSTER, POSTGRES, SQLITE, Engine
from tests.model import naive
from tests.model.api import DAY_MS, Api, Connection, create_app
from tests.model.history import DEVICES, History, Laboratory
from tests.model.tables import Tables

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.readings import Device

FEW = {SQLITE: 60, POSTGRES: 8, CLUSTER: 4}
MANY = {SQLITE: 10_000, POSTGRES: 1_000, CLUSTER: 300}
POLICIES = {
    "plain": {},
    "strict": {"link_ticket": "required", "late_window_days": "1", "link_burst": "3"},
    "required": {"linking": "required", "late_after_handover_hours": "5", "link_burst": "2"},
    "off": {"linking": "off"},
    "foreign": {},
}
HOUR_MS = 3_600_000
ADVANCES_MS = [1, 17, 1_009, 31_013, 61_007, 247_013, 601_003, HOUR_MS + 1, 26 * HOUR_MS + 7, 73 * HOUR_MS + 13]
ADVANCES_MS += [9 * DAY_MS + 19, 31 * DAY_MS + 23]
SKEWS_MS = [0, 0, 0, 12_000, -29_000, 40_300, 3_600_300, -7_200_400, 3 * DAY_MS]
OFFSETS_MS = [0, 0, -1, -5_000, -3_600_000, -2 * DAY_MS, 300_000, 600_000, 600_001]
PLACES = [(52.5200, 13.4050), (52.5201, 13.4052), (52.4800, 13.3300)]
BAD_EXTERNAL_IDS = [
    None,
    7,
    "",
    "  ",
    "\t",
    "a\u0000b",
    "x" * 256,
    "NULL",
    "0",
    "000-0",
    "-1",
    "[Object object]",
    ["a"],
]

few = st.integers(0, 5)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Laboratory]:
    data, place = tmp_path_factory.mktemp("model") / "data", engine.place()
    with PlatformProcess(data, lab=True, settings=place) as platform:
        apps = {name: create_app(platform, name, **policies) for name, policies in POLICIES.items()}
        with closing(Connection(platform.base_url)) as connection, Tables(data, place.get("database_url")) as tables:
            yield Laboratory(Api(connection), apps, tables)


class Histories(RuleBasedStateMachine):
    """Draws what happens next; what must be true afterwards is in `History` and in the model."""

    laboratory: ClassVar[Laboratory]
    history: History

    @initialize(
        app=st.sampled_from(["plain", "plain", "plain", "strict", "required", "off"]),
        devices=st.lists(
            st.tuples(st.sampled_from(DEVICES), st.sampled_from([None, 0, 0, 1]), st.booleans()), max_size=4
        ),
    )
    def begin(self, app: str, devices: list[tuple[dict[str, Any], int | None, bool]]) -> None:
        """Most of what is worth trying needs a few devices that are there already, some of them linked."""
        self.history = self.laboratory.new_history(app)
        for facts, _, _ in devices:
            self.history.register(facts, with_key=True, code=None)
            self.history.advance(3_607_001)
        for device, (_, person, is_shown_ticket) in zip(self.history.devices, devices, strict=True):
            if is_shown_ticket:
                self.history.ask_ticket(device)
            if person is not None:
                ticket = self.history.tickets[-1] if is_shown_ticket and self.history.tickets else None
                name = self.history.person(person)
                self.history.link(device, name, with_key=False, ticket=ticket, rehearse=False)
                self.history.advance(1_009)

    def device(self, pick: int) -> Device:
        return self.history.devices[pick % len(self.history.devices)]

    def look(self, device: Device) -> None:
        """The least that is read after every step."""
        self.history.look_at(device)
        self.history.look_at_user(device.install.own_user)
        self.history.look_at_tables([device])

    def has_device(self) -> bool:
        return bool(self.history.devices)

    @precondition(lambda self: len(self.history.devices) < 6)
    @rule(facts=st.sampled_from(DEVICES), with_key=st.booleans())
    def register(self, facts: dict[str, Any], with_key: bool) -> None:
        self.history.register(facts, with_key=with_key, code=None)
        self.look(self.history.devices[-1])

    @precondition(lambda self: self.history.codes and len(self.history.devices) < 6)
    @rule(facts=st.sampled_from(DEVICES), with_key=st.booleans(), pick=few)
    def register_with_code(self, facts: dict[str, Any], with_key: bool, pick: int) -> None:
        codes: list[tuple[str, naive.Code | None]] = [*self.history.codes, ("unb_code_never", None)]
        self.history.register(facts, with_key=with_key, code=codes[-1 - pick % len(codes)])

    @precondition(lambda self: any(device.key for device in self.history.devices))
    @rule(pick=few, facts=st.sampled_from(DEVICES))
    def register_again(self, pick: int, facts: dict[str, Any]) -> None:
        keyed = [device for device in self.history.devices if device.key]
        self.history.register_again(keyed[pick % len(keyed)], facts)
        self.look(keyed[pick % len(keyed)])

    @precondition(has_device)
    @rule(pick=few, person=st.sampled_from([0, 0, 0, 1, 2, 3]), ticket=st.integers(0, 4), more=st.integers(0, 7))
    def link(self, pick: int, person: int, ticket: int, more: int) -> None:
        device = self.device(pick)
        mine = [known for known in self.history.tickets if known[1].install is device.install]
        forged = ("not-a-ticket", naive.Ticket(None, 0))
        given = [None, *(mine or self.history.tickets)[-1:] * 3, forged]
        self.history.link(
            device, self.history.person(person), with_key=more % 2 == 1, ticket=given[ticket % len(given)],
            rehearse=more == 3,
        )  # fmt: skip
        self.look(device)

    @precondition(has_device)
    @rule(
        pick=few, person=few, bad=st.sampled_from(BAD_EXTERNAL_IDS),
        install_id=st.sampled_from(["0" * 24, "xyz", "A" * 24, "f" * 25]),
    )  # fmt: skip
    def link_wrongly(self, pick: int, person: int, bad: object, install_id: str) -> None:
        device, external_id = self.device(pick), self.history.person(person)
        self.history.link(device, bad, with_key=False, ticket=None, rehearse=False)
        self.history.mint(bad, with_key=False)
        self.history.link_as_foreign(device, external_id)
        self.history.link_unknown(install_id, external_id)
        self.history.link_with_app_credentials(device, external_id)
        self.look(device)

    @precondition(lambda self: self.history.kept)
    @rule(pick=few, other_body=st.booleans())
    def repeat(self, pick: int, other_body: bool) -> None:
        self.history.repeat(self.history.kept[pick % len(self.history.kept)], other_body=other_body)

    @rule(person=st.sampled_from([0, 0, 1, 2, 3]), with_key=st.booleans())
    def mint(self, person: int, with_key: bool) -> None:
        self.history.mint(self.history.person(person), with_key=with_key)

    @precondition(lambda self: self.history.devices and self.history.codes)
    @rule(pick=few, which=few)
    def redeem(self, pick: int, which: int) -> None:
        codes: list[tuple[str, naive.Code | None]] = [*self.history.codes, ("unb_code_never", None)]
        self.history.redeem(self.device(pick), codes[-1 - which % len(codes)])
        self.look(self.device(pick))

    @precondition(has_device)
    @rule(pick=few)
    def ask_ticket(self, pick: int) -> None:
        self.history.ask_ticket(self.device(pick))

    @precondition(has_device)
    @rule(
        pick=few,
        drawn=st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 9), st.sampled_from(OFFSETS_MS), few), min_size=1, max_size=4
        ),
        skew_ms=st.sampled_from(SKEWS_MS),
        more=st.integers(0, 7),
    )
    def upload(self, pick: int, drawn: list[tuple[int, int, int, int]], skew_ms: int, more: int) -> None:
        items = [self.item(kind, anchor, offset_ms, place, skew_ms) for kind, anchor, offset_ms, place in drawn]
        payloads = [items, items[1:]] if more == 1 and len(items) > 1 else [items]
        self.history.upload(self.device(pick), payloads, skew_ms, broken=more == 2)
        self.look(self.device(pick))

    def item(self, kind: int, anchor: int, offset_ms: int, place: int, skew_ms: int) -> dict[str, Any]:
        """An item captured about now, or within a millisecond of a fact."""
        facts = [at for at, _, _ in self.history.model.facts]
        true = self.history.now + offset_ms
        if facts and anchor > 4:
            true = facts[-1 - anchor % len(facts)] + offset_ms % 3 - 1
        lat, lon = PLACES[place % len(PLACES)]
        return [
            {"kind": "location", "t": true + skew_ms, "lat": lat, "lon": lon, "acc": 10.5},
            {"kind": "activity", "t": true + skew_ms, "type": "walking", "confidence": 0.5},
            {"kind": "custom", "t": true + skew_ms, "name": "n", "data": {"a": place, "b": [1, {"c": None}]}},
        ][kind]

    @precondition(lambda self: any(device.sent for device in self.history.devices))
    @rule(pick=few, first=few, skew_ms=st.sampled_from(SKEWS_MS))
    def upload_again(self, pick: int, first: int, skew_ms: int) -> None:
        """What was sent before, in another batch, the members of each item in another order."""
        senders = [device for device in self.history.devices if device.sent]
        device = senders[pick % len(senders)]
        items = [dict(reversed(item.items())) for item in device.sent[-1 - first :]]
        self.history.upload(device, [items], skew_ms, broken=False)

    @precondition(has_device)
    @rule(pick=few)
    def reset(self, pick: int) -> None:
        self.history.reset(self.device(pick))
        self.look(self.device(pick))

    @precondition(has_device)
    @rule(pick=few, by=st.integers(-3, 5), rehearse=st.booleans())
    def erase(self, pick: int, by: int, rehearse: bool) -> None:
        device = self.device(pick)
        self.history.erase(device.install.own_user, by=self.device(by) if by >= 0 else None, rehearse=rehearse)
        self.look(device)

    @precondition(has_device)
    @rule(pick=few, with_key=st.booleans())
    def refresh(self, pick: int, with_key: bool) -> None:
        self.history.refresh(self.device(pick), with_key=with_key)
        self.look(self.device(pick))

    @precondition(lambda self: any(device.spent for device in self.history.devices))
    @rule(pick=few, which=few)
    def refresh_again(self, pick: int, which: int) -> None:
        spenders = [device for device in self.history.devices if device.spent]
        device = spenders[pick % len(spenders)]
        self.history.refresh_again(device)
        self.history.clone(device, which)
        self.look(device)

    @precondition(has_device)
    @rule(pick=few, name=st.sampled_from(["plan", "city"]), value=st.sampled_from(["", "a", "\u00e9"]))
    def write_metadata(self, pick: int, name: str, value: str) -> None:
        self.history.write_metadata(self.device(pick), {name: value})

    @precondition(has_device)
    @rule(pick=few, whose=few)
    def read_with_token(self, pick: int, whose: int) -> None:
        self.history.read_with_token(self.device(pick), self.device(whose).install.own_user)

    @rule(by_ms=st.sampled_from(ADVANCES_MS))
    def advance(self, by_ms: int) -> None:
        self.history.advance(by_ms)

    @precondition(has_device)
    @rule()
    def look_at_everything(self) -> None:
        self.history.look_at_everything()

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.history.look_at_everything()


def play(laboratory: Laboratory, count: int, steps: int) -> None:
    class Bound(Histories):
        pass

    Bound.laboratory = laboratory
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        ),
    )


def test_random_histories_agree_with_the_naive_model(laboratory: Laboratory, engine: Engine) -> None:
    play(laboratory, count=FEW[engine.name], steps=30)
    assert laboratory.seen["is the fold"] > FEW[engine.name]


@pytest.mark.prove
def test_many_random_histories_agree_with_the_naive_model(laboratory: Laboratory, engine: Engine) -> None:
    before, count = laboratory.histories, engine.count("UNBROKEN_HISTORIES", MANY)
    play(laboratory, count=count, steps=30)
    print(f"\n{laboratory.histories - before} histories on {engine.name} agreed with the naive model")
    assert laboratory.histories - before >= count
    if count >= 2_000:
        assert_all_was_seen(laboratory)


def assert_all_was_seen(laboratory: Laboratory) -> None:
    """That the histories agree says nothing of what they never reached."""
    print(", ".join(f"{what}: {count}" for what, count in sorted(laboratory.seen.items())))
    expected = {f"is {state}" for state in ("active", "standby", "superseded", "deleted")} | {"row 10", "row 12"}
    expected |= {"INVALID_EXTERNAL_ID", "INSTALL_NOT_FOUND", "INSTALL_DOES_NOT_BELONG_TO_APP", "INSTALL_DELETED"}
    expected |= {"USERLINKING_NOT_CONFIGURED", "INSTALL_LINKED_TO_OTHER_USER", "INSTALL_DEACTIVATED", "LINK_BURST"}
    expected |= {"CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON", "INVALID_LINK_TICKET", "INSTALL_CLONED", "NOT_FOUND"}
    expected |= {"AUTH_CODE_UNKNOWN", "AUTH_CODE_USED", "AUTH_CODE_EXPIRED", "UNAUTHENTICATED"}
    expected |= {"accepted", "bad_clock", "too_late", "before_install", "before_link", "standby", "superseded"}
    expected |= {"is the fold"}
    assert expected <= set(laboratory.seen), expected - set(laboratory.seen)

"""Capture and upload: nothing is lost silently, nothing is sent twice for nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tracemalloc
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from unbroken import wire
from unbroken.clock import ManualClock
from unbroken.randomness import SeededRandomness, SystemRandomness
from unbroken.sdk import (
    Activity,
    CaptureOutcome,
    Custom,
    InvalidItem,
    Location,
    Quotas,
    QuotaStatus,
    Sdk,
    SdkError,
    SubmitError,
    UserCallReason,
)
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.outbox import PAYLOAD_ITEMS_MAX, UPLOAD_MAX_BYTES, ClosedPayload, Outbox
from unbroken.sdk.upload import BACKOFF_MAX_MS, Drop, Halve, Keep, backoff_ms, verdict_on
from unbroken.server.document import depth

DAY_MS = 86_400_000


def place(t):
    return Location(t=t, lat=52.5, lon=13.4)


@pytest.fixture
def sdk(phone):
    with Sdk(phone.config(randomness=SeededRandomness(1))) as sdk:
        sdk.init()
        yield sdk


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite", SeededRandomness(1), ManualClock(7))
    yield outbox
    outbox.close()


def test_captured_items_arrive_once_and_as_they_were(sdk, platform):
    items = [place(1), Activity(t=2, type="still"), Custom(t=3, name="n", data={"a": 1})]
    assert sdk.capture(*items) is CaptureOutcome.CAPTURED
    assert sdk.submit_detections().items == 3
    assert list(platform.payloads.values()) == [json.loads(wire.encode(items))]
    assert sdk.submit_detections().items == 0
    assert len(platform.uploads) == 1


def test_a_payload_keeps_its_id_over_attempts_and_each_attempt_has_its_own_sent_at(sdk, phone, platform):
    sdk.capture(place(1))
    seen = []
    upload = platform._upload

    def refuse_once(install, body):
        seen.append(body)
        return platform._problem(500, "INTERNAL") if len(seen) == 1 else upload(install, body)

    platform._upload = refuse_once
    with pytest.raises(SubmitError):
        sdk.submit_detections()
    phone.clock.advance_to(phone.clock.now_ms() + 5)
    sdk.submit_detections()
    assert seen[0]["payloads"] == seen[1]["payloads"]
    assert seen[1]["sent_at"] - seen[0]["sent_at"] == 5
    assert uuid.UUID(seen[0]["payloads"][0]["payload_id"]).version == 7


def test_items_survive_the_process(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        sdk.capture(place(1))
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert sdk.status.waiting_items == 1
        sdk.submit_detections()
    assert len(platform.payloads) == 1


@pytest.mark.parametrize(("status", "code"), [(400, "INVALID_REQUEST"), (413, "TOO_LARGE"), (410, "INSTALL_DELETED")])
def test_what_cannot_succeed_is_dropped_with_its_reason(sdk, platform, status, code):
    sdk.capture(place(1), place(2))
    platform.answer_next(status, code)
    sdk.submit_detections()
    (dropped,) = sdk.dropped()
    assert dropped.items == 2
    assert dropped.reason.startswith(code)
    assert sdk.status.waiting_items == 0
    assert sdk.status.dropped_items == 2


@pytest.mark.parametrize("answer", [(400, b"<html>Bad Request</html>", {}), (413, b"", {}), (400, b"{}", {})])
def test_what_a_proxy_refuses_is_kept_for_when_it_is_mended(sdk, platform, answer):
    sdk.capture(place(1), place(2))
    handle, platform.handle = platform.handle, lambda *_: answer
    with pytest.raises(SubmitError):
        sdk.submit_detections()
    assert sdk.dropped() == []
    platform.handle = handle
    assert sdk.submit_detections().items == 2


def test_one_bad_payload_does_not_take_the_others_with_it(sdk, platform):
    for t in range(5):
        sdk.capture(place(t))
        sdk._outbox.close_open(sdk.install_id, t)
    upload = platform._upload

    def refuse_three(install, body):
        if any(item["t"] == 3 for payload in body["payloads"] for item in payload["items"]):
            return platform._problem(400, "INVALID_REQUEST")
        return upload(install, body)

    platform._upload = refuse_three
    sdk.submit_detections()
    assert sorted(items[0]["t"] for items in platform.payloads.values()) == [0, 1, 2, 4]
    assert [d.items for d in sdk.dropped()] == [1]


def test_at_401_the_token_is_renewed_and_the_upload_repeated(sdk, platform):
    sdk.capture(place(1))
    platform.only_install().token = "expired"
    assert sdk.submit_detections().items == 1
    assert platform.paths()[-3:] == ["POST /sdk/payloads", "POST /sdk/tokens", "POST /sdk/payloads"]


def test_at_403_everything_is_kept(sdk, platform):
    sdk.capture(place(1))
    platform.answer_next(403, "INSTALL_DISABLED")
    with pytest.raises(SubmitError) as caught:
        sdk.submit_detections()
    assert caught.value.reason is UserCallReason.USER_DISABLED_REMOTELY
    assert sdk.status.waiting_items == 1
    assert not sdk.status.is_remote_enabled
    assert sdk.submit_detections().items == 1
    assert sdk.status.is_remote_enabled


def test_offline_everything_is_kept(sdk, phone):
    sdk.capture(place(1))
    phone.offline = True
    with pytest.raises(SubmitError) as caught:
        sdk.submit_detections()
    assert caught.value.reason is UserCallReason.NETWORK_ERROR
    assert sdk.status.waiting_items == 1


def test_a_superseded_install_uploads_what_it_has_and_captures_no_more(sdk, platform):
    sdk.capture(place(1))
    platform.only_install().state = "superseded"
    assert sdk.submit_detections().items == 1
    assert sdk.capture(place(2)) is CaptureOutcome.DETECTIONS_BLOCKED
    assert sdk.status.waiting_items == 0


def test_an_install_that_was_copied_captures_no_more_for_nobody(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        sdk.capture(place(1))
        copied = platform.only_install()
        copied.token, copied.credential = "unb_user_other", "unb_inst_other"  # the other device has renewed
        assert sdk._drive(sdk._uploading.round()).kept is not None
        assert sdk.capture(place(2)) is CaptureOutcome.DETECTIONS_BLOCKED
        assert (sdk.status.install_state, sdk.status.waiting_items) == ("deleted", 1)
        assert "INSTALL_CLONED" in sdk.status.state_reason
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert platform.installs[sdk.install_id].restored_from == copied.install_id
        assert sdk.capture(place(3)) is CaptureOutcome.CAPTURED


def test_an_item_the_platform_refuses_alone_is_recorded(sdk, platform):
    sdk.capture(place(1), place(2))
    upload = platform._upload

    def one_invalid(install, body):
        status, reply = upload(install, body)
        reply["results"][0]["invalid"] = [{"index": 1, "reason": "lat is out of range"}]
        return status, reply

    platform._upload = one_invalid
    assert sdk.submit_detections().items == 1
    assert [(d.items, d.reason) for d in sdk.dropped()] == [(1, "item 1: lat is out of range")]


def test_a_reply_that_acknowledges_nothing_keeps_everything(sdk, platform):
    sdk.capture(place(1))
    platform._upload = lambda *_: (202, {"results": [], "state": "active", "state_reason": None})
    with pytest.raises(SubmitError):
        sdk.submit_detections()
    assert sdk.status.waiting_items == 1


def test_an_item_that_is_not_of_the_contract_is_refused_at_capture(sdk):
    with pytest.raises(InvalidItem, match="lat"):
        sdk.capture(place(1), Location(t=1, lat=91.0, lon=0.0))
    assert sdk.status.waiting_items == 0


def test_a_file_that_is_no_outbox_is_not_left_open(tmp_path):
    path = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE payloads (of_somebody_else INTEGER)")
    with pytest.raises(sqlite3.OperationalError) as kept:
        Outbox(path, SystemRandomness(), ManualClock(7))
    assert path not in {one.resolve() for one in Path("/proc/self/fd").iterdir()}
    assert kept.value


def nested(layers):
    data = {}
    for _ in range(layers - 1):
        data = {"deeper": data} if layers % 2 else {"deeper": [data]}
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"a": "x" * 4_100}, "4096"),
        (nested(13), "nested"),
        (nested(8), "nested"),
        (json.loads('{"a":' * 650 + "0" + "}" * 650), "nested"),
        (nested(50_001), "recursion"),
    ],
    ids=["too large", "too deep", "too deep with lists", "small and deep", "endless"],
)
def test_custom_data_that_the_platform_would_refuse_is_refused_at_capture(sdk, data, said):
    with pytest.raises(InvalidItem, match=said):
        sdk.capture(place(1), Custom(t=1, name="n", data=data))
    assert sdk.status.waiting_items == 0


def test_the_deepest_custom_data_there_may_be_is_as_deep_as_the_platform_takes(sdk, platform):
    assert sdk.capture(Custom(t=1, name="n", data=nested(11))) is CaptureOutcome.CAPTURED
    sdk.submit_detections()
    assert depth(wire.encode(platform.uploads[0]), wire.DEPTH_MAX) == wire.DEPTH_MAX


def test_beyond_the_disk_quota_nothing_is_captured(phone):
    with Sdk(phone.config(quotas=Quotas(disk_bytes=100))) as sdk:
        sdk.init()
        assert sdk.capture(place(1), place(2)) is CaptureOutcome.CAPTURED
        assert sdk.status.disk_quota is QuotaStatus.WARNING
        sdk.capture(place(3))
        assert sdk.status.disk_quota is QuotaStatus.EXCEEDED
        assert sdk.capture(place(4)) is CaptureOutcome.DISK_QUOTA_EXCEEDED
        assert sdk.status.waiting_items == 3


def test_a_disk_that_is_full_is_an_error_of_the_sdk_and_keeps_nothing_of_the_call(sdk, platform):
    sdk.capture(place(1))
    sdk._outbox._connection.execute("PRAGMA max_page_count = 12")
    with pytest.raises(SdkError, match="full"):
        sdk.capture(*[place(t) for t in range(2, 5_000)])
    assert sdk.status.waiting_items == 1
    sdk._outbox._connection.execute("PRAGMA max_page_count = 12000")
    assert sdk.submit_detections().items == 1


def test_beyond_the_network_quota_only_submit_uploads(phone, platform):
    with Sdk(phone.config(quotas=Quotas(network_bytes=10))) as sdk:
        sdk.init()
        sdk.capture(place(1))
        sdk.submit_detections()
        sdk.capture(place(2))
        assert sdk.status.network_quota is QuotaStatus.EXCEEDED
        assert sdk._drive(sdk._uploading.round()).items == 0
        assert sdk.submit_detections().items == 1
        phone.clock.advance_to(phone.clock.now_ms() + 31 * 86_400_000)
        assert sdk.status.network_quota is QuotaStatus.OK


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_hours_forgets_no_traffic(outbox, hours):
    outbox.count_traffic(100, DAY_MS)
    assert outbox.traffic_bytes(DAY_MS + hours * 3_600_000) == 100


def test_traffic_under_a_clock_that_was_years_ahead_counts_for_no_years(outbox):
    outbox.count_traffic(100, 2_000 * DAY_MS)
    outbox.count_traffic(1, DAY_MS)
    assert outbox.traffic_bytes(2 * DAY_MS) == 1


def test_uploads_that_never_reached_the_platform_cost_no_quota(phone):
    with Sdk(phone.config(quotas=Quotas(network_bytes=500))) as sdk:
        sdk.init()
        sdk.capture(*[place(t) for t in range(100)])
        phone.offline = True
        for _ in range(5):
            with pytest.raises(SubmitError):
                sdk.submit_detections()
        assert sdk.status.network_quota is QuotaStatus.OK


def test_the_network_quota_counts_what_is_sent_which_is_compressed(phone):
    with Sdk(phone.config(quotas=Quotas(network_bytes=20_000))) as sdk:
        sdk.init()
        sdk.capture(*[place(t) for t in range(500)])
        assert sdk._outbox.used_bytes() > 20_000
        sdk.submit_detections()
        assert sdk.status.network_quota is QuotaStatus.OK


def test_uploaded_counts_what_was_acknowledged_once(sdk, platform):
    sdk.capture(*[place(t) for t in range(2 * PAYLOAD_ITEMS_MAX)])
    upload = platform._upload

    def only_the_first(install, body):
        status, reply = upload(install, body)
        return status, {**reply, "results": reply["results"][:1]}

    platform._upload = only_the_first
    assert sdk.submit_detections().items == 2 * PAYLOAD_ITEMS_MAX


def test_capturing_counts_nothing_anew_however_much_waits(sdk):
    statements = []
    sdk._outbox._connection.set_trace_callback(statements.append)
    sdk.capture(place(1))
    assert {statement.split()[0] for statement in statements} == {"BEGIN", "INSERT", "COMMIT"}


def test_what_is_counted_in_memory_is_what_counting_anew_finds(outbox, tmp_path):
    def counted(one):
        return one.waiting_items(), one.used_bytes()

    def anew():
        again = Outbox(tmp_path / "o.sqlite", SeededRandomness(1), ManualClock(7))
        found = counted(again)
        again.close()
        return found

    def fails():
        with pytest.raises(sqlite3.Error):
            outbox.add("i", [b"kept by nobody", 1.5j])

    steps = [
        lambda: outbox.add("i", [b"1", b"22", b"333"]),
        lambda: outbox.add("other", [b"4444"]),
        fails,
        lambda: outbox.close_open("i", 1),
        lambda: outbox.add("i", [b"55555"]),
        lambda: outbox.drop_others("i", "reset", 1),
        lambda: outbox.acknowledge("i", [result(outbox.batch("i")[0].payload_id), result("unknown")], 1),
        lambda: outbox.close_open("i", 1),
        lambda: outbox.drop("i", [*outbox.batch("i"), *outbox.batch("i")], "refused", 1),
    ]
    for step in steps:
        step()
        assert counted(outbox) == anew()
    assert counted(outbox) == (0, 0)


def result(payload_id):
    return wire.PayloadResult(payload_id=payload_id, outcome="stored", invalid=[])


@pytest.fixture
def directory_of_others(phone):
    """A directory that others may read, with what an earlier version left in it, and a umask that hides nothing."""
    before = os.umask(0o022)
    phone.path.mkdir(mode=0o755)
    Outbox(phone.path / "outbox.sqlite", SeededRandomness(1), ManualClock(7)).close()
    (phone.path / "outbox.sqlite").chmod(0o644)
    yield
    os.umask(before)


@pytest.mark.usefixtures("directory_of_others")
def test_whoever_made_the_directory_its_files_are_the_owners_alone(phone):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        sdk.capture(place(1))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in phone.path.iterdir()}
    assert set(modes) >= {"outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm", "state", "lock"}
    assert set(modes.values()) == {0o600}


def test_an_upload_has_at_most_32_payloads(sdk, platform):
    for t in range(40):
        sdk.capture(place(t))
        sdk._outbox.close_open(sdk.install_id, t)
    sdk.submit_detections()
    assert [len(upload["payloads"]) for upload in platform.uploads] == [32, 8]


def test_payloads_and_uploads_stay_under_the_contracts_limits(outbox):
    outbox.add("i", [b'"' + b"x" * 4000 + b'"'] * 400 + [b"1"] * 1200)
    outbox.close_open("i", 1)
    sizes = []
    while batch := outbox.batch("i"):
        assert sum(len(payload.body) for payload in batch) <= UPLOAD_MAX_BYTES
        sizes += [payload.items for payload in batch]
        outbox.drop("i", batch, "sent", 1)
    assert sum(sizes) == 1600
    assert max(sizes) <= PAYLOAD_ITEMS_MAX


def test_closing_loses_and_doubles_no_item(outbox):
    outbox.add("i", [b"1", b"2"])
    outbox.close_open("i", 1)
    outbox.close_open("i", 1)
    outbox.add("i", [b"3"])
    assert [payload.body for payload in outbox.batch("i")] == [b"[1,2]"]
    assert outbox.waiting_items() == 3


def test_closing_takes_no_more_memory_where_more_waits(outbox):
    for _ in range(10):
        outbox.add("i", [b"x" * 100] * 10_000)
    tracemalloc.start()
    outbox.close_open("i", 1)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 << 20
    assert outbox.waiting_items() == 100_000
    assert [payload.items for payload in outbox.batch("i")] == [PAYLOAD_ITEMS_MAX] * len(outbox.batch("i"))


def test_payload_ids_are_time_ordered(outbox):
    for t in (1_000, 2_000, 3_000):
        outbox.add("i", [b"1"])
        outbox.close_open("i", t)
    ids = [payload.payload_id for payload in outbox.batch("i")]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("status", "kind", "payloads", "expected"),
    [
        ("400 INVALID_REQUEST", FaultKind.REFUSED, 1, Drop),
        ("400 INVALID_REQUEST", FaultKind.REFUSED, 2, Halve),
        ("413 TOO_LARGE", FaultKind.REFUSED, 1, Drop),
        (400, FaultKind.REFUSED, 1, Keep),  # of a proxy
        (413, FaultKind.REFUSED, 1, Keep),
        (413, FaultKind.REFUSED, 2, Halve),
        (410, FaultKind.DELETED, 2, Drop),
        (401, FaultKind.UNAUTHENTICATED, 1, Keep),
        (403, FaultKind.DISABLED, 1, Keep),
        (404, FaultKind.REFUSED, 1, Keep),
        (409, FaultKind.CLONED, 1, Keep),
        (429, FaultKind.BUSY, 1, Keep),
        (503, FaultKind.BUSY, 1, Keep),
        (None, FaultKind.UNREACHABLE, 1, Keep),
    ],
)
def test_each_failure_has_its_verdict(status, kind, payloads, expected):
    batch = [ClosedPayload(str(n), 1, b"[]") for n in range(payloads)]
    number, _, code = str(status).partition(" ")
    fault = Fault(kind, "d", status=int(number) if status else None, code=code or None)
    assert isinstance(verdict_on(fault, batch, 0, 5), expected)


def test_retry_after_is_obeyed_even_when_the_backoff_is_shorter():
    verdict = verdict_on(Fault(FaultKind.BUSY, "d", status=429, retry_after_s=7), [], 1_000, 5)
    assert isinstance(verdict, Keep)
    assert verdict.until_ms == 8_000


def test_backoff_doubles_with_full_jitter_up_to_an_hour():
    assert [backoff_ms(n, 0.5) for n in range(4)] == [1_000, 2_000, 4_000, 8_000]
    assert backoff_ms(3, 0.0) == 0
    assert backoff_ms(10_000, 0.999) < BACKOFF_MAX_MS

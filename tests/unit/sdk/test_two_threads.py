"""One SDK, several threads: the app's own beside the one that uploads. Nobody's change of the state is lost."""

from __future__ import annotations

import threading

from unbroken.sdk import DetectionStatus, Sdk

_DAYS_3_MS = 3 * 24 * 3_600_000
_RENEWALS = 60


def in_threads(*works):
    """Run each on a thread of its own to its end; what they raised."""
    raised = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the test says what came
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_renewing_a_token_and_switching_detections_at_once_loses_neither(phone, platform):
    platform.token_expires_at = "2001-01-01T00:00:00.000+00:00"
    ended = threading.Event()
    with Sdk(phone.config()) as sdk:
        sdk.init()

        def renew():
            try:
                for _ in range(_RENEWALS):
                    phone.clock.advance_to(phone.clock.now_ms() + _DAYS_3_MS)
                    sdk.request_user_access_token()
            finally:
                ended.set()

        def switch():
            while not ended.is_set():
                sdk.enable_detections()
                sdk.disable_detections()

        assert in_threads(renew, switch) == []
        install = platform.only_install()
        assert platform.paths().count("POST /sdk/tokens") == _RENEWALS
        assert sdk.detection_status is DetectionStatus.DISABLED
    install.token = "ended"
    with Sdk(phone.config()) as sdk:  # what is on disk is what was in memory: the last credential, the last switch
        sdk.init()
        assert sdk.install_id == install.install_id
        assert sdk.detection_status is DetectionStatus.DISABLED
    assert platform.only_install() is install


def test_capturing_and_uploading_at_once_loses_no_item(phone, platform):
    from unbroken.sdk import Location

    with Sdk(phone.config()) as sdk:
        sdk.init()
        works = [lambda n=n: [sdk.capture(Location(t=n * 100 + i, lat=1, lon=2)) for i in range(100)] for n in range(3)]
        assert in_threads(*works, *[lambda: [sdk.submit_detections() for _ in range(20)]] * 2) == []
        sdk.submit_detections()
        assert (sdk.status.waiting_items, sdk.status.dropped_items) == (0, 0)
    arrived = sorted(item["t"] for items in platform.payloads.values() for item in items)
    assert arrived == list(range(300))

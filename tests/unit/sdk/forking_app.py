"""An app that forks while its SDK is open, and uses it on both sides: `python forking_app.py DIRECTORY`."""

from __future__ import annotations

import os
import sys

import httpx
from tests.unit.sdk.fake_platform import APP_ID, APP_SECRET, FakePlatform

from unbroken.sdk import CaptureOutcome, Config, Location, Sdk, SdkError, Secret, Storage, StorageInUse

HERE = Location(t=1, lat=52.5, lon=13.4)


def open_sdk(directory: str, platform: FakePlatform) -> Sdk:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = (request.method, request.url.path, dict(request.headers), request.content)
        status, body, headers = platform.handle(*asked)
        return httpx.Response(status, content=body, headers=headers)

    return Sdk(
        Config(
            app_id=APP_ID, base_url="http://127.0.0.1:1", storage=Storage(directory), link=platform.link,
            secret=lambda: Secret(APP_SECRET), transport=httpx.MockTransport(answer), upload_every_s=None,
        )
    )  # fmt: skip


def is_refused(call: object, kind: type[SdkError] = SdkError) -> bool:
    try:
        call()
    except kind:
        return True
    return False


def use_in_child(sdk: Sdk, directory: str, platform: FakePlatform) -> bool:
    calls = (lambda: sdk.capture(HERE), sdk.disable_detections, sdk.submit_detections)
    refused = [is_refused(call) for call in calls] + [is_refused(lambda: open_sdk(directory, platform), StorageInUse)]
    return all(refused)


def main(directory: str) -> None:
    platform = FakePlatform()
    with open_sdk(directory, platform) as sdk:
        sdk.init()
        child = os.fork()
        if not child:
            os._exit(0 if use_in_child(sdk, directory, platform) else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0, "a call of the child was not refused"
        assert sdk.capture(HERE) is CaptureOutcome.CAPTURED
        sdk.enable_detections()
        assert sdk.submit_detections().items == 1


if __name__ == "__main__":
    main(sys.argv[1])

"""An app on a phone: sign in at the customer's server, let the SDK link this install, capture, upload.

    python examples/phone.py --backend http://127.0.0.1:8001 --storage ./phone-a --email ada@example.com --sign-up

The directory is what the phone remembers of the SDK: another one is another phone, an empty one a reinstall. Run it
twice on the same and nothing is registered or linked again.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys

import httpx

from unbroken.clock import SystemClock
from unbroken.sdk import Config, Device, InitError, LinkRequest, Location, Sdk, Storage, with_ticket


class Backend:
    """The app's own server. Its session cookie says who is signed in; nothing else does."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=30.0, trust_env=False)

    def sign_in(self, email: str, password: str, *, is_new: bool) -> str:
        """Sign in, or up; the account."""
        path = "/signup" if is_new else "/login"
        reply = self._http.post(path, json={"email": email, "password": password})
        if reply.is_error:
            sys.exit(f"The server says: {reply.json()['message']}")
        return str(reply.json()["account"])

    def config(self) -> dict[str, str]:
        """The app's id and secret, and where the platform is; for people who are signed in."""
        told: dict[str, str] = self._http.get("/config").raise_for_status().json()
        return told

    def secret(self) -> str:
        """The app secret. The SDK asks for it when it registers, and at no other time."""
        return self.config()["app_secret"]

    def link(self, request: LinkRequest) -> bool:
        """The linker: ask our server to link this install. The SDK then asks the platform whether it is true."""
        body = {"install_id": request.install_id, "link_ticket": request.ticket}
        return self._http.post("/linking/install", json=body).is_success


def start(backend: Backend, storage: str) -> Sdk:
    """The SDK, initialised."""
    told = backend.config()
    config = Config(
        app_id=told["app_id"],
        secret=backend.secret,
        base_url=told["platform_url"],
        link=with_ticket(backend.link),
        storage=Storage(storage),
        device=Device(platform="android", screen_inches=6.1, time_zone="Europe/Berlin"),
    )
    sdk = Sdk(config)
    sdk.init()
    return sdk


def a_walk(sdk: Sdk) -> None:
    """Capture three places, as the phone's positioning would tell them, and upload them."""
    clock = SystemClock()
    for step in range(3):
        place = Location(t=clock.now_ms(), lat=52.5200 + step * 1e-4, lon=13.4050, acc=8)
        print(f"place {step + 1}: {sdk.capture(place).value}")
    print(f"uploaded: {sdk.submit_detections().items}")


def main() -> None:
    """Sign in, start, walk."""
    parser = argparse.ArgumentParser(description="An app that uses the SDK.")
    parser.add_argument("--backend", default="http://127.0.0.1:8001", help="base URL of the app's own server")
    parser.add_argument("--storage", default="./phone", help="what this phone remembers of the SDK")
    parser.add_argument("--email", required=True)
    parser.add_argument("--sign-up", action="store_true", help="make the account first")
    arguments = parser.parse_args()
    password = os.environ.get("PHONE_PASSWORD") or getpass.getpass()
    backend = Backend(arguments.backend)
    print(f"account: {backend.sign_in(arguments.email, password, is_new=arguments.sign_up)}")
    try:
        sdk = start(backend, arguments.storage)
    except InitError as error:
        sys.exit(f"The SDK did not start. {error}")
    with sdk:
        print(f"install: {sdk.install_id}\nuser: {sdk.user_id}\nlinked: {sdk.is_user_linked}")
        print(f"state: {sdk.status.install_state}")
        a_walk(sdk)


if __name__ == "__main__":
    main()

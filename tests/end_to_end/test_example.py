"""A person's story with the example, each part in a process of its own: platform, customer's server, phone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from unbroken.backend import Platform
from unbroken.server.settings import Settings
from unbroken.testing.process import PlatformProcess, free_port, spawn, stop_process

EXAMPLES = Path(__file__).parents[2] / "examples"
LYING = Path(__file__).with_name("lying_backend.py")
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


def test_the_platform_is_looked_for_where_it_serves_unless_told():
    words = [sys.executable, str(EXAMPLES / "backend.py"), "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"http://127.0.0.1:{Settings().port}" in said


class Story:
    """A platform with one app, and what people do with it."""

    def __init__(self, platform, directory):
        self.platform = platform
        self.directory = directory
        self.app = platform.command("app", "create", "Example")
        scopes = ["--scope", "user.link", "--scope", "user.read"]
        key = platform.command("key", "create", "--app", self.app["app_id"], "--name", "example", *scopes)
        self.api_key = key["api_key"]
        self.processes = []

    def start_backend(self, program=EXAMPLES / "backend.py"):
        """The customer's server; its URL."""
        port = free_port()
        words = [sys.executable, str(program), "--port", str(port), "--platform", self.platform.base_url]
        environment = os.environ | {
            "UNBROKEN_API_KEY": self.api_key,
            "UNBROKEN_APP_ID": self.app["app_id"],
            "UNBROKEN_APP_SECRET": self.app["app_secret"],
        }
        output = self.directory / f"backend-{port}.output"
        with output.open("wb") as file:
            process = spawn(words, environment, file)
        self.processes.append(process)
        url = f"http://127.0.0.1:{port}"
        assert await_answer(process, url), output.read_text()
        return url

    def phone(self, backend, storage, *words, email=EMAIL):
        """Run the app once on a phone; what it said, by name, and how it ended."""
        command = [sys.executable, str(EXAMPLES / "phone.py"), "--backend", backend, "--email", email]
        command += ["--storage", str(self.directory / storage), *words]
        environment = os.environ | {"PHONE_PASSWORD": PASSWORD}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        return {**said, "exit": done.returncode, "error": done.stderr}

    def view(self):
        """What the customer's server can read."""
        return Platform(self.platform.base_url, api_key=self.api_key)

    def stop(self):
        for process in self.processes:
            stop_process(process)


def await_answer(process, url):
    """Whether the server answered /config (401, as nobody is signed in) before it ended."""
    while process.poll() is None:
        try:
            return httpx.get(f"{url}/config", trust_env=False).status_code == 401
        except httpx.TransportError:
            continue
    return False


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    directory = tmp_path_factory.mktemp("story")
    with PlatformProcess(directory / "platform", lab=False) as platform:
        story = Story(platform, directory)
        yield story
        story.stop()


@pytest.fixture(scope="module")
def backend(story):
    return story.start_backend()


def test_a_person_signs_in_and_the_phone_is_linked(story, backend):
    said = story.phone(backend, "first", "--sign-up", email="first@example.com")
    assert (said["exit"], said["linked"], said["state"], said["uploaded"]) == (0, "True", "active", "3"), said["error"]
    with story.view() as platform:
        user = platform.users.by_external_id(said["account"])
        assert (user.user_id, user.install_id) == (said["user"], said["install"])
        (install,) = platform.users.installs(user.user_id)
        assert install.linked
        await_outcomes(platform, user, {"accepted": 3})


def test_the_next_start_registers_and_links_nothing_anew(story, backend):
    before = story.phone(backend, "again", "--sign-up", email="again@example.com")
    after = story.phone(backend, "again", email="again@example.com")
    assert [after[name] for name in ("account", "install", "user")] == [
        before[name] for name in ("account", "install", "user")
    ]
    with story.view() as platform:
        facts = [fact.kind for fact in platform.users.ledger(after["user"])]
        assert facts.count("linked") == 1


def test_a_reinstall_joins_the_same_user(story, backend):
    before = story.phone(backend, "lost", "--sign-up", email="reinstall@example.com")
    after = story.phone(backend, "reinstalled", email="reinstall@example.com")
    assert after["user"] == before["user"]
    assert after["install"] != before["install"]
    assert after["state"] == "active"
    with story.view() as platform:
        states = {install.install_id: install.state for install in platform.users.installs(after["user"])}
        assert states == {before["install"]: "superseded", after["install"]: "active"}
        await_outcomes(platform, platform.users.get(after["user"]), {"accepted": 6})


def test_a_new_phone_supersedes_the_old_one_which_then_captures_nothing(story, backend):
    old = story.phone(backend, "old", "--sign-up", email="newphone@example.com")
    new = story.phone(backend, "new", email="newphone@example.com")
    again = story.phone(backend, "old", email="newphone@example.com")
    assert (again["exit"], again["linked"], again["state"]) == (0, "True", "superseded"), again["error"]
    assert again["place 1"] == "DETECTIONS_BLOCKED"
    assert (again["user"], again["uploaded"]) == (new["user"], "0")
    with story.view() as platform:
        why = platform.explain(old["install"])
        assert (why.state, why.linked) == ("superseded", True)
        assert platform.users.get(new["user"]).install_id == new["install"]


def test_two_people_are_two_users(story, backend):
    ada = story.phone(backend, "adas", "--sign-up", email="ada2@example.com")
    ben = story.phone(backend, "bens", "--sign-up", email="ben@example.com")
    assert ada["user"] != ben["user"]


def test_another_person_on_the_same_install_is_refused_with_the_reason(story, backend):
    story.phone(backend, "shared", "--sign-up", email="owner@example.com")
    said = story.phone(backend, "borrowed", "--sign-up", email="guest@example.com")
    with httpx.Client(base_url=backend, trust_env=False) as client:
        client.post("/login", json={"email": "owner@example.com", "password": PASSWORD})
        reply = client.post("/linking/install", json={"install_id": said["install"]})
    assert (reply.status_code, reply.json()["errorCode"]) == (403, "INSTALL_LINKED_TO_OTHER_USER")
    assert reply.json()["ref"]


def test_a_server_that_lies_about_linking_is_found_out(story):
    said = story.phone(story.start_backend(LYING), "fooled", "--sign-up", email="fooled@example.com")
    assert said["exit"] == 1
    assert "LINK_FAILED" in said["error"]


def test_a_wrong_password_starts_no_sdk(story, backend):
    story.phone(backend, "mine", "--sign-up", email="mine@example.com")
    with httpx.Client(base_url=backend, trust_env=False) as client:
        login = {"email": "mine@example.com", "password": "wrong horse battery"}
        assert client.post("/login", json=login).status_code == 401
        assert client.post("/login", json=login | {"email": "no@example.com"}).status_code == 401
        assert client.get("/config").status_code == 401
        assert client.post("/linking/install", json={"install_id": "a1" * 12}).status_code == 401


def test_after_signing_out_the_old_cookie_is_worth_nothing(backend):
    with httpx.Client(base_url=backend, trust_env=False) as client:
        client.post("/signup", json={"email": "out@example.com", "password": PASSWORD})
        cookie = dict(client.cookies)
        assert client.get("/linking/auth-code").json()["auth_code"].startswith("unb_code_")
        assert client.post("/logout").status_code == 204
    with httpx.Client(base_url=backend, trust_env=False, cookies=cookie) as thief:
        assert thief.get("/linking/auth-code").status_code == 401


def test_a_page_of_another_site_cannot_sign_anybody_in(backend):
    form = {"email": "form@example.com", "password": PASSWORD}
    assert httpx.post(f"{backend}/signup", data=form, trust_env=False).status_code == 415
    body = '{"email": "form@example.com", "password": "correct horse battery"}'
    plain = {"Content-Type": "text/plain"}
    assert httpx.post(f"{backend}/signup", content=body, headers=plain, trust_env=False).status_code == 415


def await_outcomes(platform, user, expected):
    """Wait until every item is judged: an upload is durable at once, its judgement follows."""
    deadline_s = time.monotonic() + 20
    told = None
    while told != expected and time.monotonic() < deadline_s:
        outcomes = [item.outcome for item in platform.users.items(user.user_id, 0, 32_503_680_000_000)]
        told = {outcome: outcomes.count(outcome) for outcome in outcomes}
        time.sleep(0.02)
    assert told == expected

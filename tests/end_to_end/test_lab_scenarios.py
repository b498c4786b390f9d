"""Every named scenario of the linking lab, as a customer would run it; and the plugin on a customer's own backend."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager

import httpx
import pytest

from unbroken.sdk import InitError
from unbroken.testing.journey import CAFE, HOME, Journey
from unbroken.testing.lab import Lab
from unbroken.testing.network import BAD
from unbroken.testing.process import await_ready, free_port, spawn, stop_process
from unbroken.testing.scenarios import ALL, OWN_LINKING

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario, unbroken_lab):
    scenario(unbroken_lab)


def test_every_scenario_names_the_complaint_it_answers():
    for scenario in ALL:
        assert "Complaint:" in scenario.__doc__, scenario.__name__
        assert "Here " in scenario.__doc__, scenario.__name__
    assert set(ALL) >= OWN_LINKING


def test_a_lab_with_the_same_seed_tells_the_same_story_to_the_byte():
    def tell(seed):
        with Lab(seed=seed, conditions=BAD) as lab:
            anna = lab.person("anna")
            old = lab.phone().login(anna, tries=50).travel(Journey(HOME).stay(30).walk(CAFE))
            old.upload_all()
            new = lab.phone().login(anna, tries=50).travel(Journey(CAFE).stay(30))
            new.upload_all()
            return json.dumps([lab.timeline(anna), lab.installs(anna)])

    first = tell(5)
    assert first == tell(5)
    assert first != tell(6)


@contextmanager
def customer_server(app, output):
    port = free_port()
    environment = os.environ | {
        "UNBROKEN_URL": app.base_url,
        "UNBROKEN_APP_ID": app.app_id,
        "UNBROKEN_APP_SECRET": app.app_secret,
        "UNBROKEN_API_KEY": app.api_key,
        "DEMO_PASSWORD": "open sesame",
    }
    with output.open("wb") as file:
        process = spawn([sys.executable, "-m", "unbroken.demo.backend", str(port)], environment, file)
    try:
        assert await_ready(process, port, 30, path="/ready"), output.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        stop_process(process)


def test_a_customers_own_server_links_in_the_lab(unbroken_app, tmp_path):
    with (
        customer_server(unbroken_app, tmp_path / "server.output") as url,
        Lab(unbroken_app, linker=f"{url}/linking/install", directory=tmp_path) as lab,
    ):
        session = httpx.post(f"{url}/login", json={"name": "robin", "password": "open sesame"}).json()["session"]
        robin = lab.person("robin", headers={"Authorization": f"Bearer {session}"})
        stranger = lab.person("stranger", headers={"Authorization": "Bearer nonsense"})
        phone = lab.phone().login(robin)
        with pytest.raises(InitError, match="LINK_FAILED"):
            lab.phone().login(stranger)

        assert phone.sdk.is_user_linked
        assert lab.view.profile(lab.user_id(robin))["external_id"] == "account:robin"


def test_a_platform_that_runs_already_is_used_and_its_time_never_runs_back(unbroken_app, pytester, monkeypatch):
    monkeypatch.setenv("UNBROKEN_APP_ID", unbroken_app.app_id)
    monkeypatch.setenv("UNBROKEN_APP_SECRET", unbroken_app.app_secret)
    monkeypatch.setenv("UNBROKEN_API_KEY", unbroken_app.api_key)
    pytester.makepyfile(
        f"""
        import pytest
        began = []

        @pytest.mark.parametrize("year", [1, 2])
        def test_login(unbroken_lab, year):
            assert unbroken_lab.app.base_url == {unbroken_app.base_url!r}
            anna = unbroken_lab.person("anna")
            unbroken_lab.phone().login(anna)
            began.append(unbroken_lab.began_ms)
            unbroken_lab.wait(days=365)
            unbroken_lab.phone().login(anna)
            assert sorted(began) == began
            assert len(unbroken_lab.installs(anna)) == 2
        """
    )
    pytester.runpytest_subprocess("--unbroken-url", unbroken_app.base_url).assert_outcomes(passed=2)


def test_the_plugin_tests_a_customers_linker_in_his_own_suite(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def unbroken_linker():
            return lambda person, request: False      # a backend that never links

        def test_login(unbroken_lab):
            unbroken_lab.phone().login(unbroken_lab.person("anna"))
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*LINK_FAILED*"])

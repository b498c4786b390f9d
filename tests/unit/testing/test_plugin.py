from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


def test_the_plugin_loads_nothing_heavy():
    code = (
        "import sys; import unbroken.testing.plugin\n"
        "heavy = {'httpx', 'msgspec', 'starlette', 'unbroken.sdk', 'unbroken.testing.lab', 'subprocess'}\n"
        "loaded_by_pytest = {'subprocess'}\n"
        "print(*sorted((heavy - loaded_by_pytest) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_running_platform_without_an_app_is_a_clear_failure(pytester, monkeypatch):
    for name in ("UNBROKEN_APP_ID", "UNBROKEN_APP_SECRET", "UNBROKEN_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile("def test_it(unbroken_lab): pass")
    result = pytester.runpytest_subprocess("--unbroken-url", "http://127.0.0.1:9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a running platform needs UNBROKEN_APP_ID, UNBROKEN_APP_SECRET, UNBROKEN_API_KEY*"])


@pytest.mark.parametrize("how", ["option", "ini"])
def test_the_linker_url_comes_from_the_option_or_the_ini_file(pytester, how):
    pytester.makepyfile("def test_it(unbroken_linker): assert unbroken_linker == 'http://127.0.0.1:9/link'")
    words = []
    if how == "ini":
        pytester.makeini("[pytest]\nunbroken_linker_url = http://127.0.0.1:9/link")
    else:
        words = ["--unbroken-linker-url", "http://127.0.0.1:9/link"]
    pytester.runpytest_subprocess(*words).assert_outcomes(passed=1)

"""The pytest plugin of the linking lab: test your own backend's linking in your CI, in seconds.

Nothing starts, and nothing is loaded, until a test asks for a fixture.

    def test_a_new_phone_takes_over(unbroken_lab):
        anna = unbroken_lab.person("anna")
        old = unbroken_lab.phone().login(anna)
        new = unbroken_lab.phone().login(anna)
        old.close_app()
        old.open_app()  # asks how it stands
        assert (old.state, new.state) == ("superseded", "active")

| fixture | scope | what |
| --- | --- | --- |
| `unbroken_lab` | function | a `Lab` with people and devices of this test's own |
| `unbroken_app` | session | the app it runs in (`LabApp`): what your backend needs to speak for it |
| `unbroken_linker` | function | who links; **override it** to test your backend (below). None: the lab itself |
| `attestation_lab` | function | fake Apple, Google and phones: an `AttestationLab` (`unbroken.testing.attestation`) |

Your own backend, started by a fixture of yours, does the linking so:

    @pytest.fixture
    def unbroken_linker(unbroken_app):
        with my_backend(platform=unbroken_app.base_url, api_key=unbroken_app.api_key) as backend:
            yield f"{backend.url}/linking/install"

A linker is a function `(person, link_request) -> True`, or a URL that takes `{install_id, link_ticket}` under the
person's session (`lab.person(name, headers=...)`).

| option | ini | environment | what |
| --- | --- | --- | --- |
| `--unbroken-url` | `unbroken_url` | `UNBROKEN_URL` | a platform in lab mode that runs; none: one is started |
| | | `UNBROKEN_APP_ID`, `UNBROKEN_APP_SECRET`, `UNBROKEN_API_KEY` | its app, and a key with every scope |
| `--unbroken-linker-url` | `unbroken_linker_url` | | the linker, where your backend runs already |
| `--unbroken-seed` | `unbroken_seed` | | names the run; 1 if left out |

Labs of one session share one platform and its clock: each begins on a later day than the one before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unbroken.testing.attestation import AttestationLab
    from unbroken.testing.lab import Lab
    from unbroken.testing.person import CustomerLinker
    from unbroken.testing.platform import LabApp

_OPTIONS = {
    "unbroken_url": "a platform in lab mode that runs already; without it one is started",
    "unbroken_linker_url": "the URL of your backend that links an install",
    "unbroken_seed": "names the run of the linking lab: the same ids and network faults each time",
}
_VARIABLES = ("UNBROKEN_APP_ID", "UNBROKEN_APP_SECRET", "UNBROKEN_API_KEY")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the table above, each also as an ini setting."""
    group = parser.getgroup("unbroken", "the linking lab of Unbroken")
    for name, meaning in _OPTIONS.items():
        group.addoption(f"--{name.replace('_', '-')}", default=None, help=meaning)
        parser.addini(name, meaning, default="")


@pytest.fixture(scope="session")
def unbroken_app(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabApp]:
    """The app that labs of this session run in; on a platform that is started for it, or on one that runs already."""
    url = _setting(pytestconfig, "unbroken_url") or os.environ.get("UNBROKEN_URL", "")
    if url:
        yield _app_of_running_platform(url)
        return
    from unbroken.testing.platform import create_app  # noqa: PLC0415 - see the module
    from unbroken.testing.process import PlatformProcess  # noqa: PLC0415

    data = tmp_path_factory.mktemp("unbroken") / "platform"
    with PlatformProcess(data, seed=_seed(pytestconfig)).start() as platform:
        yield create_app(platform, "pytest")


@pytest.fixture
def unbroken_linker(pytestconfig: pytest.Config) -> CustomerLinker | str | None:
    """Who links in `unbroken_lab`: override this fixture with your backend."""
    return _setting(pytestconfig, "unbroken_linker_url") or None


@pytest.fixture
def unbroken_lab(
    unbroken_app: LabApp, unbroken_linker: CustomerLinker | str | None, pytestconfig: pytest.Config, tmp_path: Path
) -> Iterator[Lab]:
    """A linking lab of this test's own."""
    from unbroken.testing.lab import Lab  # noqa: PLC0415 - see the module

    with Lab(unbroken_app, linker=unbroken_linker, seed=_seed(pytestconfig), directory=tmp_path) as lab:
        yield lab


@pytest.fixture
def attestation_lab() -> Iterator[AttestationLab]:
    """Authorities and phones of this test's own; they talk to nobody outside this machine."""
    from unbroken.testing.attestation import AttestationLab  # noqa: PLC0415 - see the module

    with AttestationLab() as lab:
        yield lab


def _setting(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name) or "")


def _seed(config: pytest.Config) -> int:
    return int(_setting(config, "unbroken_seed") or 1)


def _app_of_running_platform(url: str) -> LabApp:
    from unbroken.testing.platform import LabApp  # noqa: PLC0415 - see the module

    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        pytest.fail(f"a running platform needs {', '.join(missing)} in the environment, of an app in it", pytrace=False)
    return LabApp(url, *(os.environ[name] for name in _VARIABLES))

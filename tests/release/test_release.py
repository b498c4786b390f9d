"""What is published can be built again by anybody, and says what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile

import pytest
from tests.docs.pages import ROOT
from tools.release import locks, wheel
from tools.release.__main__ import SUMS, release


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    directory = tmp_path_factory.mktemp("release") / "dist"
    release(ROOT, directory)
    return directory


def test_a_wheel_that_is_built_elsewhere_on_another_day_is_the_same_to_the_byte(released, tmp_path):
    sources = wheel.copied(ROOT, tmp_path / "a longer way" / "sources")
    for path in sources.rglob("*"):
        os.utime(path, (1_500_000_000, 1_500_000_000))
    (first,) = released.glob("*.whl")
    environment = os.environ | {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    words = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "wheels")]
    subprocess.run([sys.executable, *words], cwd=sources, env=environment, umask=0o077, check=True)
    second = tmp_path / "wheels" / first.name
    assert second.read_bytes() == first.read_bytes()


def test_a_build_that_differs_is_not_released(tmp_path, monkeypatch):
    """As if the second build had run on another state of the sources."""

    def changed(root, place):
        (copied(root, place) / "src" / "unbroken" / "__init__.py").write_text("changed = True\n")
        return place

    copied = wheel.copied
    monkeypatch.setattr(wheel, "copied", changed)
    with pytest.raises(wheel.NotReproducible):
        release(ROOT, tmp_path)


def test_the_wheel_holds_the_package_and_nothing_else(released):
    (path,) = released.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = ROOT / "src"
    kept = {str(each.relative_to(sources)) for each in sources.rglob("*") if each.is_file()}
    assert names == {name for name in kept if "__pycache__" not in name}


def test_the_sums_are_those_of_all_that_is_published(released):
    sums = dict(reversed(line.split("  ")) for line in (released / SUMS).read_text().splitlines())
    assert sums.keys() == {path.name for path in released.iterdir()} - {SUMS, ".gitignore"}
    assert all(hashlib.sha256((released / name).read_bytes()).hexdigest() == told for name, told in sums.items())


@pytest.mark.parametrize("lock", locks.of_platforms(ROOT), ids=lambda path: path.stem)
def test_a_bill_names_every_package_of_its_lock_with_its_hashes(released, lock):
    bill = json.loads((released / f"unbroken-{lock.stem}.cdx.json").read_bytes())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    told = {
        one["purl"]: {each["content"] for reference in one["externalReferences"] for each in reference["hashes"]}
        for one in bill["components"]
    }
    assert told == {f"pkg:pypi/{one.name}@{one.version}": set(one.hashes) for one in locks.read(lock)}
    assert bill["dependencies"][0]["dependsOn"] == list(told)

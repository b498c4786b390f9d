"""The locks of the containers: all that is needed, nothing else, each with its hashes, and the image takes no other."""

from __future__ import annotations

import re
from importlib.metadata import requires, version

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from tests.docs.pages import ROOT
from tests.release.test_imports import PROJECT, plain
from tools.release import locks

CONTAINER = default_environment() | {
    "python_version": "3.13", "python_full_version": "3.13.9", "sys_platform": "linux", "platform_system": "Linux",
    "os_name": "posix", "implementation_name": "cpython", "platform_python_implementation": "CPython",
}  # fmt: skip
LOCKS = sorted((ROOT / locks.LOCKED).glob("*.txt"))
PLATFORMS = locks.of_platforms(ROOT)


def needed(requirement: Requirement, pinned: dict[str, str]) -> list[Requirement]:
    """What it needs in the container, as the installed package says; nothing where that is of another version."""
    if version(requirement.name) != pinned.get(plain(requirement.name)):
        return []
    declared = requires(requirement.name) or []
    return [each for each in map(Requirement, declared) if is_wanted(each, requirement.extras)]


def is_wanted(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate(CONTAINER | {"extra": extra}) for extra in {"", *extras})


def of_extras(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml declares for them; the metadata of the package as it was installed may be older."""
    found = [*map(Requirement, PROJECT["dependencies"])]
    for extra in extras:
        for each in map(Requirement, PROJECT["optional-dependencies"][extra]):
            found += of_extras(sorted(each.extras)) if each.name == PROJECT["name"] else [each]
    return found


def closure(wanted: list[Requirement], pinned: dict[str, str]) -> list[Requirement]:
    """These, and whatever they need, and so on."""
    found: dict[str, Requirement] = {}
    while wanted:
        requirement = wanted.pop()
        if str(requirement) not in found:
            found[str(requirement)] = requirement
            wanted += needed(requirement, pinned)
    return list(found.values())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_has_a_version_and_hashes_and_stands_there_once(lock):
    packages = locks.read(lock)
    assert all(package.hashes for package in packages)
    assert len({package.name for package in packages}) == len(packages) > 1


@pytest.mark.parametrize("lock", PLATFORMS, ids=lambda path: path.stem)
def test_a_lock_has_what_its_extras_need_in_a_version_that_is_allowed_and_nothing_else(lock):
    pinned = {package.name: package.version for package in locks.read(lock)}
    wanted = closure(of_extras(lock.stem.split(",")), pinned)
    names = {plain(requirement.name) for requirement in wanted}
    assert names <= pinned.keys()
    is_older = any(version(name) != pinned[name] for name in names)  # what those need is not known here
    assert is_older or names == pinned.keys()
    refused = [str(each) for each in wanted if not each.specifier.contains(pinned[plain(each.name)], prereleases=True)]
    assert refused == []


def test_a_line_without_a_hash_is_refused(tmp_path):
    text = LOCKS[0].read_text()
    (tmp_path / "one.txt").write_text(text + "requests==2.0\n")
    with pytest.raises(ValueError, match=r"requests==2\.0"):
        locks.read(tmp_path / "one.txt")


def test_the_image_installs_nothing_but_what_is_locked():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", "")
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&\n]+)", dockerfile)
    assert len(installs) == 3
    assert all("--require-hashes" in words or "--no-index" in words for words in installs)
    assert all("--no-build-isolation" in words for words in re.findall(r"pip wheel ([^&\n]+)", dockerfile))


def test_every_image_that_is_started_has_a_lock():
    files = [ROOT / "deploy" / "Dockerfile", *(ROOT / "deploy" / "compose").glob("*.yaml")]
    named = {name for path in files for name in re.findall(r'EXTRAS(?:=|: ")([a-z,]+)', path.read_text())}
    assert named == {path.stem for path in PLATFORMS}

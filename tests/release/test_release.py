"""What is published can be built again by anybody, and says what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from tests.docs.pages import ROOT
from tools.release import locks, wheel
from tools.release.__main__ import release
from tools.release.signature import SUMS, NotGenuine, sign, verify


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


# The signature


class Signer:
    """A key pair of OpenSSH, and the list that allows it."""

    def __init__(self, directory):
        self.key = directory / "key"
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.key)]
        subprocess.run(made, check=True)  # from Debian's openssh-client, where it is missing
        self.signers = directory / "signers"
        self.signers.write_text(f"unbroken {(directory / 'key.pub').read_text()}")


def made_signer(directory):
    directory.mkdir()
    return Signer(directory)


@pytest.fixture
def signer(tmp_path):
    return made_signer(tmp_path / "signer")


@pytest.fixture
def signed(released, signer, tmp_path):
    copy = tmp_path / "dist"
    shutil.copytree(released, copy)
    sign(copy, signer.key)
    return copy


def test_a_signed_release_is_known_as_what_was_signed(signed, signer):
    assert set(verify(signed, signer.signers)) | {SUMS, f"{SUMS}.sig", ".gitignore"} >= {
        path.name for path in signed.iterdir()
    }
    assert any(name.endswith(".whl") for name in verify(signed, signer.signers))


def other_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


CHANGES = {
    "a byte of the wheel": lambda there: other_byte(next(there.glob("*.whl"))),
    "a byte of a bill of materials": lambda there: other_byte(next(there.glob("*.json"))),
    "a byte of the checksums": lambda there: other_byte(there / SUMS),
    "a byte of the signature": lambda there: other_byte(there / f"{SUMS}.sig"),
    "no signature": lambda there: (there / f"{SUMS}.sig").unlink(),
    "a file less": lambda there: next(there.glob("*.json")).unlink(),
    "a file more": lambda there: (there / "unbroken-9-py3-none-any.whl").write_bytes(b""),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_release_that_was_changed_is_not_genuine(signed, signer, what):
    CHANGES[what](signed)
    with pytest.raises(NotGenuine):
        verify(signed, signer.signers)


def test_a_release_that_another_signed_is_not_genuine(signed, tmp_path):
    with pytest.raises(NotGenuine):
        verify(signed, made_signer(tmp_path / "another").signers)


def test_what_was_signed_for_another_purpose_is_no_release(signed, signer):
    (signed / f"{SUMS}.sig").unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(signer.key), str(signed / SUMS)], check=True
    )
    with pytest.raises(NotGenuine):
        verify(signed, signer.signers)

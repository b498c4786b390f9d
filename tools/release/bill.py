"""The bill of materials: what a container installs beside the platform itself, as CycloneDX 1.6.

It holds no time and no random number, so that the same lock gives the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.release.locks import Package

_NAME: Final = "unbroken"


def of_lock(packages: Sequence[Package], *, version: str) -> str:
    """The bill of a lock, with the platform of this version as what it belongs to."""
    root = _component("application", _NAME, version) | {"licenses": [{"license": {"id": "Apache-2.0"}}]}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": [_of_package(package) for package in packages],
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": [_purl(one.name, one.version) for one in packages]}],
    }
    return json.dumps(document, indent=2) + "\n"


def _of_package(package: Package) -> dict[str, Any]:
    """Its files have many hashes, one for each machine, which CycloneDX tells as references to them."""
    references = [
        {
            "type": "distribution",
            "url": _purl(package.name, package.version),
            "hashes": [{"alg": "SHA-256", "content": content} for content in package.hashes],
        }
    ]
    return _component("library", package.name, package.version) | {"externalReferences": references}


def _component(kind: str, name: str, version: str) -> dict[str, Any]:
    purl = _purl(name, version)
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"

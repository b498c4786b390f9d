"""The table of readers: each module of `MODULES` has a function `targets()` that names its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODULES = ["tests.fuzz.attestation", "tests.fuzz.targets_readers"]
"""Loaded when a reader is chosen, so that atheris can watch what they load. Add yours here."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        run: takes an input; returns where the reader takes it or refuses it as declared, raises where that is a fault.
        seeds: genuine inputs, which are changed. A search from nothing finds nothing.
    """

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


@cache
def targets() -> Mapping[str, Callable[[], Target]]:
    found: dict[str, Callable[[], Target]] = {}
    for module in MODULES:
        found |= import_module(module).targets()
    return found


@cache
def target(name: str) -> Target:
    return targets()[name]()

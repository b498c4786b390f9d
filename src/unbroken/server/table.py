"""The table of routes: every call of the API, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.server import (
    consent_api,
    device_api,
    erase_api,
    explain_api,
    export_api,
    leak_api,
    link_api,
    people_api,
    powers_api,
    schema_pages,
    timeline_api,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.server.route import Route


def api() -> list[Route]:
    """The calls of http-api.md, in its order."""
    return [
        *device_api.ROUTES,
        *link_api.ROUTES,
        *erase_api.WHOLE,
        *people_api.PROFILES,
        *timeline_api.ROUTES,
        *people_api.LOOK_UPS,
        *explain_api.ROUTES,
        *powers_api.ROUTES,
        *erase_api.PARTS,
        *export_api.ROUTES,
        *leak_api.ROUTES,
        *consent_api.ROUTES,
    ]


def all_routes(own: Sequence[Route], *, is_lab: bool) -> list[Route]:
    """The same with those of this one server (health, lab) and the pages that describe them all."""
    described = [*api(), *own]
    return [*described, *schema_pages.routes(described, lab=is_lab)]

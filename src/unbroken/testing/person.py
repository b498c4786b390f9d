"""The people of a lab and how they are linked: by the lab's own little server, or by the customer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from unbroken.testing.platform import CallFailed, View

if TYPE_CHECKING:
    from unbroken.sdk import LinkRequest


@dataclass(slots=True)
class Person:
    """Somebody with an account at the customer.

    Args:
        name: in the story.
        external_id: what the lab's own server links with; a customer's server knows its own.
        headers: of this person's session at the customer's server, where that does the linking.
        user_id: what the platform told the last device that was linked.
    """

    name: str
    external_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_id: str | None = None


CustomerLinker = Callable[[Person, "LinkRequest"], object]
"""A customer's linking: takes who is logged in and what the SDK gave, returns `True` when it has linked."""


class LinkRefused(RuntimeError):
    """The server that does the linking refused; the message says why."""


def by_lab(view: View) -> CustomerLinker:
    """The lab's own linking: one call to the platform, with the API key."""

    def link(person: Person, request: LinkRequest) -> bool:
        try:
            view.link(request.install_id, person.external_id, request.ticket)
        except CallFailed as refusal:
            raise LinkRefused(str(refusal)) from refusal
        return True

    return link


def by_url(url: str) -> CustomerLinker:
    """Linking by a customer's server: POST `{install_id, link_ticket}` under the person's session; 2xx has linked."""

    def link(person: Person, request: LinkRequest) -> bool:
        body = {"install_id": request.install_id} | ({"link_ticket": request.ticket} if request.ticket else {})
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            reply = client.post(url, json=body, headers=dict(person.headers))
        if not reply.is_success:
            raise LinkRefused(f"POST {url}: {reply.status_code} {reply.text}")
        return True

    return link

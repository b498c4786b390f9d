"""What is left when all is over, held against what was acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from unbroken.testing.member import ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unbroken.backend import Platform
    from unbroken.backend.results import Install
    from unbroken.demo.cluster.promises import Promises
    from unbroken.testing.process import PlatformProcess

PATIENCE_S: Final = 180.0
_POLL_S: Final = 0.5

Book = Counter[tuple[str, int]]
"""How often an item stands in the accounting of its user, by install and capture time."""


@dataclass(slots=True)
class Books:
    """What was found; each list holds sentences, and is empty where all is well.

    Args:
        payloads, items, links, people: how many were acknowledged and looked for.
        rows: how many rows `unbroken verify` looked at.
        outcomes: how many items were accepted, or why not.
    """

    payloads: int = 0
    items: int = 0
    links: int = 0
    people: int = 0
    rows: int = 0
    processed_s: float | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    lost_links: list[str] = field(default_factory=list)
    not_one_active: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is amiss."""
        return not (self.lost or self.doubled or self.lost_links or self.not_one_active or self.findings)


class Auditor:
    """Reads as the customer's server, from an API.

    Args:
        customer: patient: asks again when it is told to come later.
        promises: complete: nobody uploads any more.
        patience_s: how long what was acknowledged may wait to be processed.
    """

    def __init__(self, customer: Platform, promises: Promises, *, patience_s: float = PATIENCE_S) -> None:
        self._customer = customer
        self._promises = promises
        self._patience_s = patience_s

    def audit(self, api: PlatformProcess) -> Books:
        """Wait until everything acknowledged is accounted for, then look at all of it."""
        books, began = Books(people=len(self._people())), time.monotonic()
        if self._is_processed():
            books.processed_s = time.monotonic() - began
        for user_id, installs in self._people().items():
            self._look_at_items(user_id, installs, books)
            self._look_at_installs(user_id, installs, books)
        self._look_at_accounts(books)
        self._verify(api, books)
        return books

    def _people(self) -> dict[str, list[str]]:
        """The linked installs of each user that was told."""
        people: dict[str, list[str]] = {}
        for install_id, link in self._promises.links.items():
            people.setdefault(link.user_id, []).append(install_id)
        return people

    def _promised(self, install_id: str) -> Mapping[str, Sequence[int]]:
        return self._promises.payloads.get(install_id, {})

    def _is_processed(self) -> bool:
        waiting, until = self._people(), time.monotonic() + self._patience_s
        while waiting and time.monotonic() < until:
            waiting = {user: installs for user, installs in waiting.items() if self._is_missing_any(user, installs)}
            if waiting:
                time.sleep(_POLL_S)
        return not waiting

    def _is_missing_any(self, user_id: str, installs: Sequence[str]) -> bool:
        book = self._book(user_id)
        wanted = ((install, t) for install in installs for times in self._promised(install).values() for t in times)
        return any(item not in book for item in wanted)

    def _book(self, user_id: str, outcomes: Counter[str] | None = None) -> Book:
        book: Book = Counter()
        for item in self._customer.users.items(user_id):
            book[item.install_id, item.captured_at_ms] += 1
            if outcomes is not None:
                outcomes[item.outcome] += 1
        return book

    def _look_at_items(self, user_id: str, installs: Sequence[str], books: Books) -> None:
        """Each acknowledged item stands there once, and nothing that nobody sent."""
        book = self._book(user_id, books.outcomes)
        for install_id in installs:
            for payload_id, times in self._promised(install_id).items():
                books.payloads += 1
                books.items += len(times)
                counts = [book.pop((install_id, t), 0) for t in times]
                if 0 in counts:
                    books.lost.append(f"{counts.count(0)} of {len(counts)} items of payload {payload_id}")
                if max(counts) > 1:
                    books.doubled.append(f"an item of payload {payload_id} counts {max(counts)} times")
        books.doubled += [f"an item of {install} at {t} that was never acknowledged" for install, t in book]

    def _look_at_installs(self, user_id: str, installs: Sequence[str], books: Books) -> None:
        books.links += len(installs)
        views = {view.install_id: view for view in self._customer.users.installs(user_id)}
        for install_id in installs:
            if install_id not in views or not views[install_id].linked:
                books.lost_links.append(f"install {install_id} is not linked to user {user_id}")
        books.not_one_active += [f"user {user_id}: {wrong}" for wrong in _not_one_active(list(views.values()))]

    def _look_at_accounts(self, books: Books) -> None:
        """Each account has one user, and it is the one that was told."""
        told: dict[str, set[str]] = {}
        for link in self._promises.links.values():
            told.setdefault(link.account, set()).add(link.user_id)
        for account, user_ids in told.items():
            user = self._customer.users.by_external_id(account)
            if user is None or {user.user_id} != user_ids:
                found = None if user is None else user.user_id
                books.lost_links.append(f"{account} was told to be {sorted(user_ids)}, and is {found}")

    def _verify(self, api: PlatformProcess, books: Books) -> None:
        """`unbroken verify`, again while timelines are to be computed anew."""
        until = time.monotonic() + self._patience_s
        while True:
            told = _verified(api)
            if not told.get("pending") or time.monotonic() > until:
                break
            time.sleep(_POLL_S)
        books.rows = sum(told.get("checked", {}).values())
        books.findings = [str(finding) for finding in told["findings"]]
        if told.get("pending"):
            books.findings.append(f"{told['pending']} timelines are still to be computed anew")


def _verified(api: PlatformProcess) -> dict[str, Any]:
    try:
        return dict(api.command("verify"))
    except ProcessFailed as error:  # it has found something, and says what
        return {"findings": [str(error)]}


def _not_one_active(views: Sequence[Install]) -> Iterator[str]:
    """What contradicts law 2 (linking.md): one install is active, and no two ever were at once."""
    active = [view.install_id for view in views if view.state == "active"]
    if len(active) != 1:
        yield f"{len(active)} active installs"
    spans = sorted((part.from_ms, part.to_ms or float("inf")) for view in views for part in view.activations)
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        yield "two activations overlap"

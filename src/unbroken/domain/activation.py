"""Activation: which install of a user is the active one. A phone before a tablet, then the last installed.

The rule needs no history: of any set of linked installs the one with the highest precedence is active, in whatever
order the links arrived (linking.md, activation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.app import Precedence
from unbroken.domain.install import RANK, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.install import Install


def precedence_of(install: Install, precedence: Precedence) -> tuple[int, int, int]:
    """What installs of one user are compared by: form, time, place of the registration in the ledger."""
    by_link = precedence is Precedence.LAST_LINKED and install.linked_at is not None
    at = install.linked_at if by_link else install.registered_at
    assert at is not None
    return (RANK[install.form], at, install.place)


def choose_active(installs: Iterable[Install], precedence: Precedence) -> Install | None:
    """The install with the highest precedence, or None of none."""
    return max(installs, key=lambda install: precedence_of(install, precedence), default=None)


def wins(install: Install, holder: Install, precedence: Precedence) -> bool:
    """Whether `install` takes over from the install that is active now."""
    return precedence_of(install, precedence) > precedence_of(holder, precedence)


def next_in_line(installs: Iterable[Install], precedence: Precedence) -> Install | None:
    """Who follows under the policy `takeover = standby`: the best of those on standby."""
    waiting = [install for install in installs if install.state is State.STANDBY]
    return choose_active(waiting, precedence)

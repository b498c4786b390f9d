"""The checker rejects what cannot have been, and accepts its true neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.model.linearizability.checker import check
from tests.model.linearizability.forgeries import FORGERIES
from tests.model.linearizability.telling import contradiction, explanation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.linearizability.scene import Scene

each_forgery = pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.__name__)


@each_forgery
def test_a_forged_history_is_rejected(forgery: Callable[..., Scene]) -> None:
    assert not check(forgery(lie=True).operations).is_linearizable


@each_forgery
def test_its_true_neighbour_is_accepted(forgery: Callable[..., Scene]) -> None:
    history = forgery(lie=False).operations
    assert check(history).is_linearizable, explanation(history)


@each_forgery
def test_what_is_told_of_a_forgery_is_a_forgery_itself_and_no_longer(forgery: Callable[..., Scene]) -> None:
    history = forgery(lie=True).operations
    told = contradiction(history)
    assert not check(told).is_linearizable
    assert len(told) <= len(history)


def test_there_are_more_forgeries_than_ten() -> None:
    assert len(FORGERIES) >= 10

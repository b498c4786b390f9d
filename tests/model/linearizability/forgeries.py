"""Forgeries: histories that no platform that keeps its word can have, each with a true one beside it.

A forgery and its neighbour differ in one answer, or in the instant of one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.model.linearizability.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

ADA: Final = "ada"


def _scene(*installs: str, tablets: tuple[str, ...] = ()) -> Scene:
    scene = Scene()
    for install in installs:
        scene.register(install, "tablet" if install in tablets else "phone")
    return scene


def _first_linked(*installs: str, tablets: tuple[str, ...] = ()) -> Scene:
    """The first of the installs is linked to Ada, as `link-1`."""
    scene = _scene(*installs, tablets=tablets)
    scene.link(installs[0], ADA, "link-1", f"own-{installs[0]}")
    return scene


def a_lost_link(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.find(ADA, *((None,) if lie else ("own-a", "a")))
    return scene


def a_stale_read_after_an_acknowledged_link(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a")
    scene.find(ADA, "own-a", "a" if lie else "b")
    return scene


def two_active_installs(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a")
    scene.state("b", "own-a", "active")
    scene.state("a", "own-a", "active" if lie else "superseded", process=3)
    return scene


def two_active_installs_in_one_list(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a", at=(10, 20))
    first = ("active" if lie else "superseded", "link-1")
    scene.installs("own-a", a=first, b=("active", "link-2"), at=(11, 19))
    return scene


def an_undone_link_still_read(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    scene.state("a", "own-a", "active", linked=lie)
    return scene


def an_answer_from_the_future(*, lie: bool) -> Scene:
    scene = _scene("a")
    scene.find(ADA, "own-a", "a", at=(10, 12))
    scene.link("a", ADA, "link-1", "own-a", at=(13, 15) if lie else (11, 15))
    return scene


def a_link_acknowledged_twice_with_two_users(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.link("a", ADA, "link-1", "own-other" if lie else "own-a", process=3)
    return scene


def a_link_acknowledged_twice_as_two_links(*, lie: bool) -> Scene:
    scene = _scene("a")
    scene.link("a", ADA, "link-1", "own-a", at=(10, 20))
    scene.link("a", ADA, "link-2" if lie else "link-1", "own-a", at=(11, 19), process=3)
    return scene


def a_resurrection_after_an_undo(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a", at=(10, 20))
    scene.find(ADA, None, at=(11, 12))
    scene.find(ADA, *(("own-a", "a") if lie else (None,)), at=(13, 14), process=3)
    return scene


def reads_of_one_process_that_go_back(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a", at=(10, 20))
    scene.find(ADA, "own-a", "b" if lie else "a", at=(11, 12))
    scene.find(ADA, "own-a", "a" if lie else "b", at=(13, 14))
    return scene


def reads_of_two_processes_that_go_back(*, lie: bool) -> Scene:
    """Overlapping reads may come out either way; one that ended before the other began may not."""
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a", at=(10, 20))
    scene.find(ADA, "own-a", "b", at=(11, 12))
    scene.find(ADA, "own-a", "a", at=(13, 14) if lie else (11.5, 14), process=3)
    return scene


def a_reset_install_still_active(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.reset("a")
    scene.find(ADA, "own-a", "a" if lie else None)
    return scene


def a_link_of_an_install_that_was_reset(*, lie: bool) -> Scene:
    scene = _scene("a")
    scene.reset("a", at=(10, 12))
    scene.link("a", ADA, "link-1", "own-a", at=(13, 15) if lie else (9, 15))
    return scene


def an_order_against_real_time(*, lie: bool) -> Scene:
    """The second link is answered as if it had come first."""
    scene = _scene("a", "b")
    scene.link("a", ADA, "link-1", "own-b", "superseded" if lie else "standby", at=(10, 12))
    scene.link("b", ADA, "link-2", "own-b", at=(13, 15) if lie else (9, 15))
    return scene


def one_account_with_two_users(*, lie: bool) -> Scene:
    """Two first links at once, and each is told that it was the first."""
    scene = _scene("a", "b")
    scene.link("a", ADA, "link-1", "own-a", at=(10, 20))
    scene.link("b", ADA, "link-2", "own-b" if lie else "own-a", at=(11, 19), process=3)
    return scene


def an_undo_told_twice_as_two(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    scene.undo("link-1", "undo-2" if lie else "undo-1", "own-a", "own-a", process=3)
    return scene


def an_id_given_out_twice(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-1" if lie else "link-2", "own-a")
    return scene


def a_tablet_that_takes_over_from_a_phone(*, lie: bool) -> Scene:
    scene = _first_linked("a", "b", tablets=("b",))
    scene.link("b", ADA, "link-2", "own-a", "active" if lie else "standby")
    return scene


def an_older_install_that_wins(*, lie: bool) -> Scene:
    scene = _scene("a", "b")
    scene.link("b", ADA, "link-1", "own-b")
    scene.link("a", ADA, "link-2", "own-b", "active" if lie else "standby")
    return scene


def a_key_that_had_its_effect_twice(*, lie: bool) -> Scene:
    scene = _scene("a")
    scene.link("a", ADA, "link-1", "own-a", key="k")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    scene.link("a", ADA, "link-2" if lie else "link-1", "own-a", key="k")
    return scene


def a_refusal_that_had_its_effect(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.refused("link", 403, "INSTALL_LINKED_TO_OTHER_USER", install="a", account="bob")
    scene.find("bob", *(("own-a", "a") if lie else (None,)))
    return scene


def a_lost_reply_whose_effect_was_seen_and_gone(*, lie: bool) -> Scene:
    scene = _scene("a")
    scene.lost("link", install="a", account=ADA)
    scene.find(ADA, *(("own-a", "a") if lie else (None,)))
    scene.find(ADA, *((None,) if lie else ("own-a", "a")), process=3)
    return scene


def an_effect_before_its_call(*, lie: bool) -> Scene:
    """A call without an answer may have its effect late, and never early."""
    scene = _scene("a")
    scene.lost("link", at=14 if lie else 9, install="a", account=ADA)
    scene.find(ADA, "own-a", "a", at=(10, 12))
    return scene


def an_undo_refused_for_nothing(*, lie: bool) -> Scene:
    """Restoring a link is refused where the install was linked to somebody else since."""
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    if not lie:
        scene.link("a", "bob", "link-2", "own-a")
    scene.refused("undo", 409, "LATER_FACTS_DEPEND", link="undo-1")
    return scene


def an_undo_that_gives_nothing_back(*, lie: bool) -> Scene:
    """With the newer phone's link undone the older one is active again, as if that link had never been."""
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a")
    scene.undo("link-2", "undo-1", "own-a", "own-b")
    scene.state("a", "own-a", "superseded" if lie else "active")
    return scene


def an_account_that_loses_its_id(*, lie: bool) -> Scene:
    """The first link is undone, a second stands: who stays keeps the id, who goes gets a new one."""
    scene = _first_linked("a", "b")
    scene.link("b", ADA, "link-2", "own-a")
    scene.undo("link-1", "undo-1", "own-a", "fresh")
    scene.profile("own-a", *(("own-a", "a", None) if lie else ("own-a", "b", ADA)))
    return scene


def an_undo_of_what_had_no_effect_that_has_one(*, lie: bool) -> Scene:
    """The link was undone, restored and undone: that its restoring is undone as well leaves it as it is."""
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    scene.undo("undo-1", "undo-2", "own-a", "own-a", of="link-1")
    scene.undo("link-1", "undo-3", "own-a", "own-a")
    scene.undo("undo-2", "undo-4", "own-a", "own-a", of="link-1")
    scene.find(ADA, *(("own-a", "a") if lie else (None,)))
    return scene


def an_own_user_that_is_anothers(*, lie: bool) -> Scene:
    """Two undos leave an install with one id, and the answer to the first comes later; it cannot be that of another."""
    scene = _first_linked("a", "b")
    scene.lost("undo", link="link-1")
    scene.link("a", ADA, "link-2", "own-a")
    scene.undo("link-2", "undo-2", "own-a", "own-a")
    scene.undo("link-1", "undo-1", "own-a", "own-b" if lie else "own-a")
    return scene


def a_restored_link_that_is_not_there(*, lie: bool) -> Scene:
    scene = _first_linked("a")
    scene.undo("link-1", "undo-1", "own-a", "own-a")
    scene.undo("undo-1", "undo-2", "own-a", "own-a", of="link-1")
    scene.state("a", "own-a", "active", linked=not lie)
    return scene


FORGERIES: Final[tuple[Callable[..., Scene], ...]] = (
    a_lost_link,
    a_stale_read_after_an_acknowledged_link,
    two_active_installs,
    two_active_installs_in_one_list,
    an_undone_link_still_read,
    an_answer_from_the_future,
    a_link_acknowledged_twice_with_two_users,
    a_link_acknowledged_twice_as_two_links,
    a_resurrection_after_an_undo,
    reads_of_one_process_that_go_back,
    reads_of_two_processes_that_go_back,
    a_reset_install_still_active,
    a_link_of_an_install_that_was_reset,
    an_order_against_real_time,
    one_account_with_two_users,
    an_undo_told_twice_as_two,
    an_id_given_out_twice,
    a_tablet_that_takes_over_from_a_phone,
    an_older_install_that_wins,
    a_key_that_had_its_effect_twice,
    a_refusal_that_had_its_effect,
    a_lost_reply_whose_effect_was_seen_and_gone,
    an_effect_before_its_call,
    an_undo_refused_for_nothing,
    an_undo_that_gives_nothing_back,
    an_account_that_loses_its_id,
    an_undo_of_what_had_no_effect_that_has_one,
    an_own_user_that_is_anothers,
    a_restored_link_that_is_not_there,
)

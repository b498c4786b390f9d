"""The sequential specification: what each call answers, and what is so after it, when no other call is under way.

Ids are chosen by the platform. The specification names one that it has not been told by an `Unknown`, and the first
answer that shows it says what it is; from then on it must stay that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.model.linearizability.facts import (
    Fact,
    Id,
    Linked,
    Registered,
    Reset,
    Undone,
    Unknown,
    added,
    cancelled_in,
    link_of,
    new_link,
    new_undo,
    people_of,
    sorted_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.linearizability.operations import Answer, Operation


ANY: Final = Unknown("any", "any")  # linking.md does not say, or what it says depends on an id not told yet


class Reply(NamedTuple):
    """What must be said: a status and the members of the body."""

    status: int
    told: tuple[tuple[str, Any], ...] = ()


class State(NamedTuple):
    """Everything that an answer can depend on; pairs are in the order of their names, so that equal states are equal.

    Args:
        facts: in their order.
        own: of each install, the id of its own user.
        accounts: of each account that is linked, the id of its user.
        kept: the first answer to each idempotency key.
        undone: the first answer to the undo that stands, by the id of what it took back.
    """

    facts: tuple[Fact, ...] = ()
    own: tuple[tuple[str, Id], ...] = ()
    accounts: tuple[tuple[str, Id], ...] = ()
    kept: tuple[tuple[str, Reply], ...] = ()
    undone: tuple[tuple[Id, Reply], ...] = ()


NOTHING: Final = State()
_OWN: Final = "own of "


def steps(state: State, operation: Operation) -> Iterator[State]:
    """Every state in which the call can leave the platform, having answered what it has; none if it cannot have.

    There is more than one only where an id that was not told yet may be one of several.
    """
    for after, reply in outcomes(state, operation):
        if operation.answer is None:
            yield after
        else:
            yield from _told(after, reply, operation.answer)


def holds(state: State, operation: Operation) -> bool:
    """Whether the call, answering what it has, can leave the state as it is, and tells no id for the first time."""
    assert operation.answer is not None
    for after, reply in outcomes(state, operation):
        if after is state and reply.status == operation.answer.status:
            pairs = _pairs(dict(reply.told), operation.answer.told)
            if all(must in (ANY, is_) for must, is_ in pairs):
                return True
    return False


def outcomes(state: State, operation: Operation) -> Iterator[tuple[State, Reply]]:
    """What the call can do to the state, and what it must say then: what it said before, where its key was used."""
    key = operation.key
    kept = dict(state.kept).get(key) if key is not None else None
    if kept is not None:
        yield state, kept
        return
    for after, reply in _CALLS[operation.kind](state, operation):
        is_kept = key is not None and reply.status in {200, 404, 409}
        yield (after._replace(kept=_with(after.kept, key, reply)) if is_kept else after), reply


def _told(state: State, reply: Reply, answer: Answer) -> Iterator[State]:
    """The state in which the reply is the answer, whatever ids it told for the first time; none if it is not."""
    if reply.status != answer.status:
        return
    pairs = list(_pairs(dict(reply.told), answer.told))
    while pairs:
        must, is_ = pairs.pop()
        if isinstance(must, Unknown) and must != ANY:
            if not isinstance(is_, str) or not _is_new(state, must, is_):
                return
            state, pairs = _named(state, must, is_), _known(pairs, must, is_)
        elif must not in (ANY, is_):
            return
    yield state


def _pairs(must: Mapping[str, Any], is_: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What must be said beside what was said, member by member; of lists, entry by entry."""
    yield sorted(must), sorted(is_)
    for name in must.keys() & is_.keys():
        if isinstance(must[name], Mapping):
            yield from _pairs(must[name], is_[name])
        elif isinstance(must[name], tuple) and not isinstance(must[name], Unknown):
            yield from zip(must[name], is_[name], strict=True)
        else:
            yield must[name], is_[name]


def _is_new(state: State, unknown: Unknown, told: str) -> bool:
    """One id is never given out twice; two undos may have left an install with the same one."""
    if unknown.what == "link":
        return told not in _names(state)
    elsewhere = [user for user in dict(state.accounts).values() if user != unknown]
    others = people_of(state.facts).account_of.keys() | {unknown.what.removeprefix(_OWN)}
    return told not in elsewhere + [user for install, user in state.own if install not in others and user != unknown]


def _names(state: State) -> list[Id]:
    """The ids of every link and undo."""
    return [fact.name for fact in state.facts if isinstance(fact, Linked | Undone)]


def _named(state: State, unknown: Unknown, told: str) -> State:
    """The same where the id is known."""
    known: State = _known(state, unknown, told)
    return known._replace(facts=sorted_out(known.facts), undone=_sorted(dict(known.undone)))


def _known(value: Any, unknown: Unknown, told: str) -> Any:
    """The same with the id in every place of the unknown one."""
    if isinstance(value, Unknown):
        return told if value == unknown else value
    if not isinstance(value, tuple | list):
        return value
    parts = [_known(part, unknown, told) if isinstance(part, tuple) else part for part in value]
    if isinstance(value, list):
        return parts
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def _with(pairs: tuple[tuple[Any, Any], ...], name: Any, value: Any) -> tuple[tuple[Any, Any], ...]:
    return _sorted({**dict(pairs), name: value})


def _sorted(pairs: dict[Any, Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple(sorted(pairs.items(), key=lambda pair: str(pair[0])))


def _refused(status: int, code: str) -> Reply:
    return Reply(status, (("code", code),))


def touched(state: State, operation: Operation) -> frozenset[str] | None:
    """The installs and accounts that a call reads or changes in this state, whatever other calls do to other ones.

    Calls that touch nothing in common can change places. None where a call may touch anything, as nobody was told yet
    what the id that it names stands for.
    """
    asked = operation.asked
    found = {f"{name} {asked[name]}" for name in ("install", "account") if name in asked}
    if operation.kind == "register":
        found |= {"registrations"} | {name for name in operation.names if name.startswith("install ")}
    if "link" in asked:
        if asked["link"] not in _names(state):
            return None
        link = link_of(state.facts, asked["link"])
        found |= {f"install {link.install}", f"account {link.account}"}
    if "user" in asked:
        account, install = _whose(state, asked["user"])
        if account is None and install is None:
            return None
        found.add(f"install {install}" if account is None else f"account {account}")
    account_of = people_of(state.facts).account_of
    return frozenset(found | {f"account {account}" for one, account in account_of.items() if f"install {one}" in found})


# Calls that change something

Outcomes = Iterator[tuple[State, Reply]]


def _register(state: State, operation: Operation) -> Outcomes:
    """Its answer names the install; one whose reply was lost is known to nobody and left out of the search."""
    assert operation.answer is not None
    install, user = operation.answer.told["install_id"], operation.answer.told["user_id"]
    if install in people_of(state.facts).forms:
        return
    facts = added(state.facts, Registered(install, operation.asked["form"]))
    told = (("install_id", install), ("user_id", user))
    yield state._replace(facts=facts, own=_with(state.own, install, user)), Reply(201, told)


def _link(state: State, operation: Operation) -> Outcomes:
    install, account = operation.asked["install"], operation.asked["account"]
    people = people_of(state.facts)
    refusal = people.refusal(install, account)
    if install not in people.forms:
        yield state, _refused(404, "INSTALL_NOT_FOUND")
    elif refusal is not None:
        yield state, _refused(403, refusal)
    elif install in people.account_of:
        yield state, _linked(state, install)
    else:
        after = _joined(state, new_link(state.facts, install, account))
        yield after, _linked(after, install)


def _joined(state: State, fact: Linked) -> State:
    """Rows 10 and 12: an account that nobody carries gets the id of the install's own user."""
    accounts = dict(state.accounts)
    user = accounts.get(fact.account) or dict(state.own)[fact.install]
    return state._replace(
        facts=added(state.facts, fact),
        accounts=_with(state.accounts, fact.account, user),
    )


def _linked(state: State, install: str) -> Reply:
    people = people_of(state.facts)
    user = dict(state.accounts)[people.account_of[install]]
    return Reply(200, (("id", user), ("link_id", people.link_of[install]), ("state", people.state(install))))


def _reset(state: State, operation: Operation) -> Outcomes:
    install = operation.asked["install"]
    if install in people_of(state.facts).deleted:
        yield state, Reply(204)
    else:
        yield state._replace(facts=added(state.facts, Reset(install))), Reply(204)


def _undo(state: State, operation: Operation) -> Outcomes:
    subject = operation.asked["link"]
    if subject in _names(state):
        yield from _undo_fact(state, subject)
        return
    yield state, _refused(404, "NOT_FOUND")
    for name in _names(state):
        if isinstance(name, Unknown):
            yield from _undo_fact(_named(state, name, subject), subject)


def _undo_fact(state: State, subject: str) -> Outcomes:
    if subject in cancelled_in(state.facts):
        yield state, dict(state.undone)[subject]
        return
    undo = new_undo(state.facts, subject)
    facts = added(state.facts, undo)
    if people_of(facts).refused - people_of(state.facts).refused:
        yield state, _refused(409, "LATER_FACTS_DEPEND")
        return
    after, reply = _taken_back(state, facts, undo)
    yield after._replace(undone=_with(after.undone, subject, reply)), reply


def _taken_back(state: State, facts: tuple[Fact, ...], undo: Undone) -> tuple[State, Reply]:
    """The account keeps its id as long as any link to it stands; which id the install gets for itself is told.

    Where nobody carried the account before, nor does now, the undo changed nothing, and names the install's user.
    """
    link, people = link_of(facts, undo.subject), people_of(facts)
    users, own = dict(state.accounts), dict(state.own)
    before = users.get(link.account)
    if link.account not in people.holders:
        users.pop(link.account, None)
    elif before is None:
        users[link.account] = Unknown(str(undo.name), "account")
    is_out = link.install not in people.account_of
    if is_out:
        own[link.install] = Unknown(str(undo.name), f"{_OWN}{link.install}")
    nobodys = own[link.install] if is_out else users[people.account_of[link.install]]
    told = {
        "undo_id": undo.name,
        "link_id": link.name,
        "user_id": users.get(link.account, before) or nobodys,
        "own_user_id": own[link.install] if is_out else ANY,
    }
    after = state._replace(facts=facts, own=_sorted(own), accounts=_sorted(users))
    return after, Reply(200, tuple(told.items()))


# Calls that read


def _state(state: State, operation: Operation) -> Outcomes:
    """GET /sdk/install, under the token of the install."""
    install, people = operation.asked["install"], people_of(state.facts)
    if install in people.deleted:
        yield state, _refused(410, "INSTALL_DELETED")
        return
    account = people.account_of.get(install)
    user = dict(state.own)[install] if account is None else dict(state.accounts)[account]
    linked = account is not None
    yield state, Reply(200, (("user_id", user), ("state", people.state(install)), ("linked", linked)))


def _find(state: State, operation: Operation) -> Outcomes:
    """GET /v3/users?external_id=."""
    account = operation.asked["account"]
    if account in dict(state.accounts):
        yield state, _profile_of_account(state, account)
    else:
        yield state, _refused(404, "NOT_FOUND")


def _profile_of_account(state: State, account: str) -> Reply:
    user, holder = dict(state.accounts)[account], people_of(state.facts).holders[account]
    return Reply(200, (("id", user), ("install_id", holder), ("external_id", account)))


def _profile(state: State, operation: Operation) -> Outcomes:
    """GET /v2/users/{user_id}; an id that redirects answers with the current user."""
    account, install = _whose(state, operation.asked["user"])
    if account is not None:
        yield state, _profile_of_account(state, account)
    elif install is not None:
        holder = None if install in people_of(state.facts).deleted else install
        told = (("id", dict(state.own)[install]), ("install_id", holder), ("external_id", None))
        yield state, Reply(200, told)
    else:
        yield state, _anything(operation)


def _installs(state: State, operation: Operation) -> Outcomes:
    """GET /v3/users/{user_id}/installs."""
    account, install = _whose(state, operation.asked["user"])
    if account is None and install is None:
        yield state, _anything(operation)
        return
    people = people_of(state.facts)
    of_user = [install] if account is None and install is not None else people.installs_of(str(account))
    view = {one: (people.state(one), people.link_of[one] if account else None) for one in of_user}
    yield state, Reply(200, (("installs", view),))


def _whose(state: State, user: str) -> tuple[str | None, str | None]:
    """The account, or else the unlinked install, that a user id stands for; neither where it is not known here.

    An undo may leave an id behind that stands for somebody by a rule of labels (docs/decisions/0010-labels.md); what
    such an id answers is not judged here.
    """
    for account, known in state.accounts:
        if known == user:
            return account, None
    account_of = people_of(state.facts).account_of
    named = [install for install, known in state.own if known == user]
    unlinked = [install for install in named if install not in account_of]
    if unlinked:  # given to it by an undo, when the one that had it before was linked
        return None, unlinked[0]
    return (account_of[named[0]], None) if named else (None, None)


def _anything(operation: Operation) -> Reply:
    if operation.answer is None:
        return Reply(200)
    return Reply(operation.answer.status, tuple((name, ANY) for name in operation.answer.told))


_CALLS: Final[dict[str, Callable[[State, Operation], Outcomes]]] = {
    "register": _register,
    "link": _link,
    "undo": _undo,
    "reset": _reset,
    "state": _state,
    "find": _find,
    "profile": _profile,
    "installs": _installs,
}

"""A naive model of the platform: linking.md read aloud in lists and loops, without the fold and without shared code.

It keeps what has happened to each install and answers what the platform must say to the next call. Ids are chosen by
the platform: an answer carries the model's own objects, and whoever drives both writes the ids it is told into them.
Every instant is epoch milliseconds. Switched off here, as their calls come later: disabling, activating on purpose,
undo, rename, `used_install` other than `refuse`, `precedence` and `takeover` other than the default.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
CODE_LIFE_MS = 5 * MINUTE_MS
TICKET_LIFE_MS = 10 * MINUTE_MS
TOKEN_LIFE_MS = 3 * DAY_MS
PLACEHOLDERS = ["null", "undefined", "none", "anonymous", "guest", "unknown", "0", "-1", "[object object]"]
RANK = {"phone": 2, "tablet": 1}


@dataclass(eq=False)
class Policy:
    linking: str = "on"
    link_ticket: str = "optional"
    link_burst: int = 20
    late_window_days: int = 30
    late_after_handover_hours: int = 0


@dataclass(eq=False)
class Activation:
    install: Install
    start: int
    end: int | None = None

    def covers(self, at: int) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(eq=False)
class User:
    app: App
    created_at: int
    id: str = ""
    external_id: str | None = None
    joined: User | None = None
    erased: bool = False
    receipt_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    holder: Install | None = None
    activations: list[Activation] = field(default_factory=list)


@dataclass(eq=False)
class Link:
    install: Install
    external_id: str
    at: int
    joined: bool
    id: str = ""


@dataclass(frozen=True)
class Copy:
    """One arrival of an item."""

    payload_id: str
    received_at: int
    offset_ms: int


@dataclass(eq=False)
class Install:
    app: App
    form: str
    registered_at: int
    place: int
    user: User
    own_user: User
    id: str = ""
    link: Link | None = None
    state: str = "active"
    erased: bool = False
    used: bool = False
    last_fact_at: int = 0
    deleted_at: int | None = None
    superseded_at: int | None = None
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    past: list[tuple[int, str, bool]] = field(default_factory=list)

    @property
    def linked(self) -> bool:
        return self.link is not None

    def note(self, at: int) -> None:
        """Remember what it is from `at` on, for `explain`."""
        self.past.append((at, self.state, self.linked))


@dataclass(eq=False)
class Code:
    external_id: str
    expires_at: int
    used_by: Install | None = None
    gone: bool = False


@dataclass(eq=False)
class Ticket:
    install: Install | None
    expires_at: int


@dataclass(eq=False)
class App:
    policy: Policy = field(default_factory=Policy)
    users: list[User] = field(default_factory=list)
    installs: list[Install] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    facts: list[tuple[int, str, Install]] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the platform must say: a status, for an error the codes that are right, for a success who it is about."""

    status: int
    codes: tuple[str, ...] = ()
    install: Install | None = None
    user: User | None = None
    link: Link | None = None
    state: str | None = None
    also: tuple[int, ...] = ()  # other statuses that the pages leave open


def refuse(status: int, *codes: str, also: tuple[int, ...] = ()) -> Answer:
    return Answer(status, codes, also=also)


def as_kept(external_id: object) -> str | None:
    """An external id as it is compared, or None where row 1 refuses it."""
    if not isinstance(external_id, str):
        return None
    normal = unicodedata.normalize("NFC", external_id)
    if normal.strip() == "" or len(normal) > 255:
        return None
    for character in normal:
        if unicodedata.category(character) == "Cc":
            return None
    if normal.lower() in PLACEHOLDERS or set(normal) <= {"0", "-"}:
        return None
    return normal


def form_of(device: dict[str, Any]) -> str:
    """linking.md, form of a device."""
    if device["platform"] == "android" and device.get("screen_inches", 0) >= 7.0:
        return "tablet"
    pad = device.get("idiom") == "pad" or str(device.get("model", "")).startswith("iPad")
    return "tablet" if device["platform"] == "ios" and pad else "phone"


def precedence(install: Install) -> tuple[int, int, int]:
    return RANK[install.form], install.registered_at, install.place


def current(user: User) -> User:
    """Who a user id stands for: a retired one for the user its install joined."""
    while user.joined is not None:
        user = user.joined
    return user


def carrier(app: App, external_id: str) -> User | None:
    for user in app.users:
        if user.external_id == external_id and not user.erased:
            return user
    return None


# Registering


def register(app: App, device: dict[str, Any], now: int, code: Code | None = None, *, by_code: bool = False) -> Answer:
    """A registration whose key was not seen before."""
    if by_code:
        refusal = code_refused(code, None, now) or registration_refused(app, code, now)
        if refusal is not None:
            return refusal
    install = new_install(app, form_of(device), now)
    if code is not None:
        code.used_by = install
        apply_link(install, code.external_id, now)
    return Answer(201, install=install, user=install.user, state=install.state)


def registration_refused(app: App, code: Code | None, now: int) -> Answer | None:
    """Row 4 and the burst, for an install that does not exist yet."""
    assert code is not None
    if app.policy.linking == "off":
        return refuse(403, "USERLINKING_NOT_CONFIGURED")
    if is_burst(app, code.external_id, now):
        return refuse(429, "LINK_BURST")
    return None


def new_install(app: App, form: str, now: int) -> Install:
    user = User(app, created_at=now)
    install = Install(app, form, now, len(app.installs), user, user, last_fact_at=now)
    user.holder = install
    user.activations.append(Activation(install, now))
    app.users.append(user)
    app.installs.append(install)
    app.facts.append((now, "registered", install))
    install.note(now)
    return install


# Linking


def link(  # noqa: PLR0911 - one return a row
    app: App, install: Install | None, external_id: object, now: int, *,
    ticket: Ticket | None = None, dry_run: bool = False,
) -> Answer:  # fmt: skip
    """The decision table, for a call with an API key of `app`."""
    kept = as_kept(external_id)
    if kept is None:
        return refuse(400, "INVALID_EXTERNAL_ID")  # row 1
    if install is None:
        return refuse(404, "INSTALL_NOT_FOUND")  # row 2
    if install.app is not app:
        return refuse(403, "INSTALL_DOES_NOT_BELONG_TO_APP")  # row 3
    refusal, repeated = rows_4_to_9(install, kept)
    if refusal is not None or repeated is not None:
        return refusal or repeated  # type: ignore[return-value]
    bad_ticket = ticket_refused(install, ticket, now)
    burst = is_burst(app, kept, now)
    if bad_ticket and burst:
        return refuse(403, "INVALID_LINK_TICKET", "LINK_BURST", also=(429,))
    if bad_ticket:
        return refuse(403, "INVALID_LINK_TICKET")
    return rows_10_to_13(install, kept, now, dry_run=dry_run)


def rows_4_to_9(install: Install, external_id: str) -> tuple[Answer | None, Answer | None]:
    """A refusal, or the answer to a repeated call."""
    if install.app.policy.linking == "off":
        return refuse(403, "USERLINKING_NOT_CONFIGURED"), None  # row 4
    if install.state == "deleted":
        return refuse(403, "INSTALL_DELETED"), None  # row 5
    if install.link is None:
        return None, None
    if install.link.external_id != external_id:
        return refuse(403, "INSTALL_LINKED_TO_OTHER_USER"), None  # row 7
    if install.state == "superseded":
        return refuse(403, "INSTALL_DEACTIVATED"), None  # row 8
    return None, linked_answer(install)  # row 9


def rows_10_to_13(install: Install, external_id: str, now: int, *, dry_run: bool = False) -> Answer:
    if is_burst(install.app, external_id, now):
        return refuse(429, "LINK_BURST")
    user = carrier(install.app, external_id)
    if user is not None and install.used:
        return refuse(403, "CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON")  # row 13
    if dry_run:
        return would_link(install, user)
    apply_link(install, external_id, now)
    return linked_answer(install)


def would_link(install: Install, user: User | None) -> Answer:
    """Rows 10 and 12 without their effect."""
    if user is None:
        return Answer(200, install=install, user=install.own_user, state=install.state)
    wins = user.holder is None or precedence(install) > precedence(user.holder)
    return Answer(200, install=install, user=user, state="active" if wins else "standby")


def linked_answer(install: Install) -> Answer:
    return Answer(200, install=install, user=install.user, link=install.link, state=install.state)


def apply_link(install: Install, external_id: str, now: int) -> None:
    """Rows 10 and 12."""
    app, user = install.app, carrier(install.app, external_id)
    earlier = [install.last_fact_at] + [link.at for link in app.links if link.external_id == external_id]
    if user is not None:
        earlier.append(user.created_at)
    at = max([now] + [fact_at + 1 for fact_at in earlier])
    install.last_fact_at = at
    install.link = Link(install, external_id, at, joined=user is not None)
    app.links.append(install.link)
    app.facts.append((at, "linked", install))
    if user is None:
        install.own_user.external_id = external_id
    else:
        join(install, user, at)
    install.note(at)


def join(install: Install, user: User, at: int) -> None:
    own = install.own_user
    own.activations, own.holder, own.joined = [], None, user  # void
    install.user = user
    holder = user.holder
    if holder is not None and precedence(install) < precedence(holder):
        install.state = "standby"
        return
    if holder is not None:
        close(user, at)
        holder.state, holder.superseded_at = "superseded", at
        holder.note(at)
    user.holder, install.state = install, "active"
    user.activations.append(Activation(install, at))


def close(user: User, at: int) -> None:
    """End the open activation of a user; an empty one does not exist."""
    user.activations[-1].end = at
    if user.activations[-1].start >= at:
        user.activations.pop()


def ticket_refused(install: Install, ticket: Ticket | None, now: int) -> bool:
    if ticket is None:
        return install.app.policy.link_ticket == "required"
    return ticket.install is not install or now >= ticket.expires_at


def is_burst(app: App, external_id: str, now: int) -> bool:
    lately = [link for link in app.links if link.external_id == external_id and link.at > now - DAY_MS]
    return len(lately) >= app.policy.link_burst


# Authentication codes


def mint(app: App, external_id: object, now: int) -> tuple[Answer, Code | None]:
    kept = as_kept(external_id)
    if kept is None:
        return refuse(400, "INVALID_EXTERNAL_ID"), None
    if app.policy.linking == "off":
        return refuse(403, "USERLINKING_NOT_CONFIGURED"), None
    app.codes.append(Code(kept, now + CODE_LIFE_MS))
    return Answer(200), app.codes[-1]


def code_refused(code: Code | None, install: Install | None, now: int) -> Answer | None:
    """`install` is the one that redeems; None at a registration."""
    if code is None or code.gone:
        return refuse(401, "AUTH_CODE_UNKNOWN")
    if code.used_by is not None and code.used_by is install:
        return None
    late = now >= code.expires_at
    if code.used_by is not None:
        return refuse(401, "AUTH_CODE_USED", *(["AUTH_CODE_EXPIRED"] if late else []))
    return refuse(401, "AUTH_CODE_EXPIRED") if late else None


def redeem(install: Install, code: Code | None, now: int) -> Answer:
    """POST /sdk/link, with a user token that is still good."""
    if install.state == "deleted":
        return refuse(410, "INSTALL_DELETED")
    refusal = code_refused(code, install, now)
    if refusal is not None:
        both = (*refusal.codes, "INSTALL_DEACTIVATED")
        return Answer(401, both, also=(403,)) if install.state == "superseded" else refusal
    assert code is not None
    if code.used_by is install and install.state == "superseded":  # "the same answer", or row 8: law 4 says both
        return Answer(200, ("INSTALL_DEACTIVATED",), install=install, also=(403,))
    refusal, repeated = rows_4_to_9(install, code.external_id)
    answer = refusal or repeated or rows_10_to_13(install, code.external_id, now)
    if answer.status == 200:
        code.used_by = install
    return answer


# Uploads


def receive(install: Install, now: int, sent_at: int, payload_id: str, valid: list[dict[str, Any]]) -> Answer:
    """One payload; `valid` are those of its items that validate."""
    if install.state == "deleted":
        return refuse(410, "INSTALL_DELETED")
    install.used = True
    offset = now - sent_at
    offset = 0 if abs(offset) < 30 * SECOND_MS else round(offset / SECOND_MS) * SECOND_MS
    for item in valid:
        arrivals = install.copies.setdefault(json.dumps(item, sort_keys=True), [])
        arrivals.append(Copy(payload_id, now, offset))
    return Answer(202, install=install, state=install.state)


@dataclass(frozen=True)
class Judged:
    """What became of one distinct item; `outcomes` holds more than one where linking.md leaves it open."""

    install: Install
    item: dict[str, Any]
    captured_at: int
    received_at: int
    payload_ids: frozenset[str]
    outcomes: frozenset[str]


def judged(install: Install) -> list[Judged]:
    return [judge(install, json.loads(text), copies) for text, copies in install.copies.items()]


def judge(install: Install, item: dict[str, Any], copies: list[Copy]) -> Judged:
    received_at = min(copy.received_at for copy in copies)
    offset = min((copy.offset_ms for copy in copies), key=lambda offset: (abs(offset), -offset))
    captured_at = item["t"] + offset
    names = [copy.payload_id for copy in copies if copy.received_at == received_at or copy.offset_ms == offset]
    outcomes = outcomes_of(install, captured_at, received_at)
    return Judged(install, item, captured_at, received_at, frozenset(names), outcomes)


def outcomes_of(install: Install, captured_at: int, received_at: int) -> frozenset[str]:  # noqa: PLR0911 - a row each
    """linking.md, which items count."""
    if captured_at > received_at + 10 * MINUTE_MS:
        return frozenset({"bad_clock"})
    if received_at > captured_at + install.app.policy.late_window_days * DAY_MS:
        return frozenset({"too_late"})
    if captured_at < install.registered_at:
        return frozenset({"before_install"})
    for activation in install.user.activations:
        if activation.install is install and activation.covers(captured_at):
            return frozenset({"too_late" if is_after_handover(activation, received_at) else "accepted"})
    if install.link is not None and install.link.joined and captured_at < install.link.at:
        return frozenset({"before_link"})
    if install.deleted_at is not None and captured_at >= install.deleted_at:
        return frozenset({"standby", "superseded", "disabled", "before_link", "deleted"})  # no row says
    return frozenset({"superseded" if install.superseded_at is not None else "standby"})


def is_after_handover(activation: Activation, received_at: int) -> bool:
    """Received later than the bound after another install has ended this activation."""
    hours = activation.install.app.policy.late_after_handover_hours
    if not hours or activation.end is None or activation.end != activation.install.superseded_at:
        return False
    return received_at > activation.end + hours * HOUR_MS


# Reset, erasure


def reset(install: Install, at: int) -> Answer:
    """`at` is the instant of the fact; see `reset_between`."""
    if install.state == "deleted":
        return Answer(204)
    if install.user.holder is install:
        close(install.user, at)
        install.user.holder = None
    install.app.facts.append((at, "reset", install))
    delete(install, at)
    return Answer(204)


def reset_between(install: Install, now: int) -> tuple[int, int]:
    """A link is stamped after the last fact that it touches; how far a reset must do so the pages leave open."""
    latest = max(at for at, _, _ in install.app.facts)
    return max(now, install.last_fact_at + 1), max(now, latest + 1)


def delete(install: Install, at: int) -> None:
    install.last_fact_at, install.deleted_at, install.state = at, at, "deleted"
    install.note(at)


def erase(user: User | None, now: int) -> Answer:
    """With an API key that may delete, or a token that may."""
    if user is None:
        return refuse(404, "NOT_FOUND")
    user = current(user)
    if user.erased:
        return Answer(200, user=user)
    user.erased = True
    for install in user.app.installs:
        if install.user is user:
            install.erased = True
            if install.state != "deleted":
                delete(install, now)
    for code in user.app.codes:
        code.gone = code.gone or code.external_id == user.external_id  # a code names the person, too
    user.app.links = [link for link in user.app.links if link.install.user is not user]
    return Answer(200, user=user)


# Reading


def read_with_token(install: Install, target: User | None) -> Answer:
    """A user token, still good, asks for a user."""
    if install.state == "deleted":
        return refuse(410, "INSTALL_DELETED")
    other = target is None or target.erased or current(target) is not install.user
    if install.state == "superseded":
        return refuse(403, "INSTALL_DEACTIVATED", *(["NOT_FOUND"] if other else []), also=(404,) if other else ())
    return refuse(404, "NOT_FOUND") if other else Answer(200, user=install.user)


def read_with_key(app: App, target: User | None) -> Answer:
    if target is None or target.app is not app or current(target).erased:
        return refuse(404, "NOT_FOUND")
    return Answer(200, user=current(target))


def write_with_token(install: Install) -> Answer:
    """Metadata and the erasure of oneself: the active install only."""
    if install.state == "deleted":
        return refuse(410, "INSTALL_DELETED")
    return Answer(200, user=install.user) if install.state == "active" else refuse(403, "INSTALL_DEACTIVATED")


def erase_with_token(install: Install, target: User) -> Answer:
    """Only oneself, and only the active install; "repeating the call gives the same receipt" holds here, too."""
    is_own = current(target) is install.user
    if install.erased and is_own:
        return Answer(200, ("INSTALL_DELETED",), user=install.user, also=(410,))
    answer = write_with_token(install)
    if is_own or answer.status == 410:
        return answer
    if answer.status == 403:
        return refuse(403, "INSTALL_DEACTIVATED", "NOT_FOUND", also=(404,))
    return refuse(404, "NOT_FOUND")


def installs_of(user: User) -> list[Install]:
    return [install for install in user.app.installs if install.user is user]


def state_at(install: Install, at: int) -> tuple[str, bool]:
    """State and whether linked, at an instant not before its registration."""
    found = install.past[0]
    for entry in install.past:
        if entry[0] <= at:
            found = entry
    return found[1], found[2]

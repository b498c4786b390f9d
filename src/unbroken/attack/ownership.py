"""Ask a host whether it agreed to be attacked, before anything else is sent (decision 0027)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from unbroken import consent
from unbroken.attack.exchange import NoReply, asking, with_query

if TYPE_CHECKING:
    from unbroken.attack.exchange import Caller
    from unbroken.consent import Warrant
    from unbroken.randomness import Randomness


class NotProven(Exception):
    """The host did not prove that its operator agreed; nothing else was sent to it."""


async def prove(caller: Caller, warrant: Warrant, randomness: Randomness) -> None:
    """Return if the host answers a fresh challenge with the warrant's key.

    What is sent is a number and the stamp, which is no secret: a host that cannot answer learns nothing.

    Raises:
        NotProven: with a sentence for whoever ran the command.
    """
    challenge = randomness.secret(consent.CHALLENGE_CHARACTERS // 2).hex()
    target = with_query(consent.PATH, {"stamp": warrant.stamp, "challenge": challenge})
    try:
        reply = await caller.send(asking("GET", target))
    except NoReply as error:
        raise NotProven(f"{caller.host.authority} does not answer: {error}") from error
    said = reply.json.get("proof") if isinstance(reply.json, dict) else None
    wanted = consent.proof(warrant.key, challenge)
    if reply.status != 200 or not isinstance(said, str) or not hmac.compare_digest(said.encode(), wanted.encode()):
        raise NotProven(
            f"{caller.host.authority} does not prove that it may be attacked ({reply}). The warrant must be made by"
            " `unbroken attack prepare` on the data of that very platform, and is good for hours."
        )

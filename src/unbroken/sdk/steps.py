"""What a flow wants done next, and what it is told of it. A flow is a generator; whoever drives it does the steps.

A flow never sends, asks, sleeps or writes to disk itself. It changes the state in memory (`memory.py`), and whoever
drives it writes that to disk **before** doing a step: idempotency keys are part of it, so that a killed process
repeats its request instead of making a second one.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from unbroken.outgoing import NoReply, Reply
from unbroken.sdk.linker import Linker, LinkerAnswer, LinkRequest

if TYPE_CHECKING:
    from unbroken.sdk.exchange import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request; tell the `Reply` or `NoReply`."""

    request: Request


@dataclass(frozen=True, slots=True)
class AskLinker:
    """Ask the linker; tell its `LinkerAnswer`."""

    linker: Linker
    request: LinkRequest


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until then (epoch milliseconds); tell None."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The flow has ended with this result."""

    result: T


Step = Send | AskLinker | Wait
Told = Reply | NoReply | LinkerAnswer | None
Flow = Generator[Step, Told, T]


def advance(flow: Flow[T], told: Told) -> Step | Done[T]:
    """The next step of a flow that is told this (None at its start); what the flow raises comes through."""
    try:
        return flow.send(told)
    except StopIteration as end:
        return Done(end.value)

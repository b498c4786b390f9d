"""The operator asks about any app: the same steps as for a customer's server, for whichever app knows the answer."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from unbroken.domain.app import Scope
from unbroken.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context

T = TypeVar("T")


async def ask_every_app(context: Context, what: str, step: Callable[[KeyCaller], Awaitable[T]]) -> T:
    """What `step` answers for the one app that knows `what`: ids of different apps never meet.

    Raises:
        NotFound: no app does.
    """
    async with aclosing(_answers(context, step)) as answers:
        async for answer in answers:
            return answer
    raise NotFound(f"No app knows {what}.")


async def ask_all_apps(context: Context, what: str, step: Callable[[KeyCaller], Awaitable[T]]) -> list[T]:
    """The same where several may know it, as an external id that each app uses for itself.

    Raises:
        NotFound: no app does.
    """
    answers = [answer async for answer in _answers(context, step)]
    if not answers:
        raise NotFound(f"No app knows {what}.")
    return answers


async def _answers(context: Context, step: Callable[[KeyCaller], Awaitable[T]]) -> AsyncGenerator[T, None]:
    from unbroken.flow import administer  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.flow.authenticate import NO_KEY, KeyCaller  # noqa: PLC0415

    for app in await administer.list_apps(context):
        try:
            answer = await step(KeyCaller(app, NO_KEY, frozenset(Scope), administer.OPERATOR))
        except NotFound:
            continue
        yield answer

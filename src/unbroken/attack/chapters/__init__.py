"""The chapters of the suite, in the order they are tried: what wears the host down comes last."""

from __future__ import annotations

from typing import Final

from unbroken.attack.attack import Chapter
from unbroken.attack.chapters import (
    bombs,
    credentials,
    disclosure,
    documents,
    framing,
    injection,
    methods,
    mirror,
    paths,
    races,
    replays,
    scopes,
    slow,
    smuggling,
    timing,
)

CHAPTERS: Final = (
    Chapter("mirror", "data of another app, on every call", mirror.attacks),
    Chapter("credentials", "every kind of credential on every call", credentials.attacks),
    Chapter("scopes", "calls beyond a key's scopes or an install's state", scopes.attacks),
    Chapter("smuggling", "accounts by the back door", smuggling.attacks),
    Chapter("replays", "what was good once, again", replays.attacks),
    Chapter("races", "what may happen once, at the same instant", races.attacks),
    Chapter("methods", "methods that a call does not have", methods.attacks),
    Chapter("paths", "paths in other spellings", paths.attacks),
    Chapter("documents", "bodies that two readers read in two ways", documents.attacks),
    Chapter("injection", "texts that become something else", injection.attacks),
    Chapter("disclosure", "what the platform says of itself", disclosure.attacks),
    Chapter("timing", "what the time of a reply tells", timing.attacks),
    Chapter("bombs", "small bodies that become large", bombs.attacks),
    Chapter("framing", "requests that end in two places", framing.attacks, at_once=True),
    Chapter("slow", "callers that take their time", slow.attacks, at_once=True),
)

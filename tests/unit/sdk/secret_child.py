"""An app in a process of its own that registers, fails, logs and shows everything it has; run by `test_no_secret_left`.

    python secret_child.py SHELL SOURCE URL DIRECTORY

What to look for among the objects that live on comes as the first line of stdin, written backwards, so that the search
does not find itself. Each line after it is the app secret, once more.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

import httpx

from unbroken.sdk import AsyncSdk, Config, InitError, Sdk, Secret, Storage


class Broken(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport of the app's own that fails as no transport should."""

    def handle_request(self, request):
        raise KeyError("no transport today")

    async def handle_async_request(self, request):
        raise KeyError("no transport today")


def asked():
    """One line; a reader of Python's would keep what it read."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in {b"\n", b""}:
        line += byte
    return line.decode()


def no_headers():
    raise LookupError("no headers today")


def source(kind):
    return {"function": lambda: asked, "secret": lambda: Secret(asked())}[kind]()


def link(install_id):
    return False


def call(shell, config, *names):
    """Open an SDK of this shell, make the calls, leave it open; every failure is logged with all it knows."""
    return {"Sdk": blocking, "AsyncSdk": awaiting}[shell](config, names)


def blocking(config, names):
    sdk = Sdk(config)
    for name in names:
        try:
            getattr(sdk, name)()
        except InitError as error:
            tell(error)
    return sdk, sdk.close


def awaiting(config, names):
    runner = asyncio.Runner()

    async def run():
        sdk = AsyncSdk(config)
        for name in names:
            try:
                await getattr(sdk, name)()
            except InitError as error:
                tell(error)
        return sdk

    sdk = runner.run(run())
    return sdk, lambda: runner.run(sdk.close())


def tell(error):
    logging.getLogger("app").error("init failed", exc_info=error)
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    print(repr(error), str(error), vars(error))


def holders(backwards):
    """The types of whatever holds one of the texts, among all objects that live."""
    seen, waiting, found = set(), [*gc.get_objects()], []
    seen.update(map(id, waiting))
    while waiting:
        holder = waiting.pop()
        for held in referents(holder):
            if isinstance(held, str | bytes | bytearray) and is_one(held, backwards):
                found.append(f"{type(held).__name__} in {type(holder).__qualname__}, held by {owners(holder)}")
            elif id(held) not in seen:
                seen.add(id(held))
                waiting.append(held)
    return found


def referents(holder):
    """What an object holds. Of a module its names: that of CPython 3.12's `_asyncio` tells of freed futures, too."""
    return [vars(holder)] if isinstance(holder, ModuleType) else gc.get_referents(holder)


def owners(holder):
    return sorted({type(one).__qualname__ for one in gc.get_referrers(holder)})


def is_one(held, backwards):
    text = held if isinstance(held, str) else bytes(held).decode("latin-1")
    return any(wanted in text[::-1] for wanted in backwards)


def shown():
    """What each object of the SDK says of itself."""
    return [repr(one) for one in gc.get_objects() if type(one).__module__.startswith("unbroken.sdk")]


def main(shell, kind, url, directory):
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    backwards = json.loads(asked())
    place = Path(directory)

    def config(name, **more):
        given = {"app_id": "a" * 24, "base_url": url, "storage": Storage(place / name), "link": link} | more
        return Config(**{"secret": source(kind), "upload_every_s": None, "request_timeout_s": 5.0} | given)

    failing = [
        config("nobody", base_url="http://127.0.0.1:1"),
        config("refused", base_url=url, app_id="b" * 24),
        config("broken", transport=Broken()),
        config("headers", headers=no_headers),
    ]
    for one in failing:
        sdk, close = call(shell, one, "init")
        print("\n".join(shown()))
        close()
    del failing, one
    kept = config("linked")
    sdk, close = call(shell, kept, "init", "init")
    gc.collect()
    print("\n".join(shown()))
    print(json.dumps({"holders": holders(backwards), "user_exists": sdk.user_exists}))
    close()


if __name__ == "__main__":
    main(*sys.argv[1:])

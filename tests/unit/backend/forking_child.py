"""A server that forks its workers when it has called the platform already: `python forking_child.py URL`."""

from __future__ import annotations

import os
import sys

from unbroken.backend import Options, Platform, Retry

USERS = [f"{number:024x}" for number in range(2)]


def main(url: str) -> None:
    with Platform(url, api_key="unb_key_1", options=Options(retry=Retry(tries_max=1))) as platform:
        platform.users.get(USERS[0])
        worker = os.fork()
        platform.users.get(USERS[0 if worker else 1])
        if worker:
            _, status = os.waitpid(worker, 0)
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])

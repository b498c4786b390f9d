"""Every command and program in README, tutorial and how-to is run, in order, as a reader would type it.

The blocks of a page become one script in an empty directory. What the words after the language mean:

    bash                 typed in the reader's terminal; must succeed
    bash terminal        typed in another terminal and left running until the page ends
    python               a program, run with the terminal's environment
    python file=NAME     saved under that name; a `bash` block runs it
    python excerpt=NAME  not run: it must stand in that file of the repository, word for word

Anything that is not to be run is `text`, `json` or `mermaid`. Ports are replaced by free ones and `make test`, which is
what runs this, by a dry run of it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, name_of

from unbroken.testing.process import free_port

RUNNABLE = [page for page in PAGES if re.match(r"README\.md|docs/(tutorial|how-to)/", name_of(page))]
PLATFORM_PORT, BACKEND_PORT, PROXY_PORT = "8080", "8001", "8443"
SHOWN = {"text", "json", "mermaid", "ini", "toml"}
PRELUDE = r"""
set -euo pipefail
set -m  # every job gets a process group, so that the end of the page ends all of it
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done; wait' EXIT
make() {
    case "$1" in
        demo) command make --directory "$ROOT" VENV="$VENV" --old-file "$VENV/.ready" OUTPUT="$PWD/demo-output" "$@" ;;
        *) command make --directory "$ROOT" --dry-run "$@" >/dev/null ;;
    esac
}
"""


def script_of(page):
    return PRELUDE + "".join(f"echo '--- line {block.line}'\n{lines_of(block)}\n" for block in blocks(page))


def lines_of(block):
    match block.language, block.words:
        case "bash", []:
            return block.text
        case "bash", ["terminal"]:
            return f"{{\n{block.text}}} &"
        case "python", []:
            return f"python - <<'END-OF-PROGRAM'\n{block.text}END-OF-PROGRAM"
        case "python", [file] if file.startswith("file="):
            return f"cat >{shlex.quote(file.removeprefix('file='))} <<'END-OF-FILE'\n{block.text}END-OF-FILE"
        case "python", [file] if file.startswith("excerpt="):
            assert_excerpt(block, ROOT / file.removeprefix("excerpt="))
            return ""
        case language, _ if language in SHOWN:
            return ""
    raise AssertionError(f"line {block.line}: nobody knows what to do with a block of {block.language!r}")


def assert_excerpt(block, path):
    def bare(text):
        return "\n".join(line.strip() for line in text.splitlines() if line.strip())

    assert bare(block.text) in bare(path.read_text(encoding="utf-8")), f"line {block.line} is not in {path}"


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_every_snippet_of_the_page_works(page, tmp_path):
    ports = {named: str(free_port()) for named in (PLATFORM_PORT, BACKEND_PORT, PROXY_PORT)}
    # all at once: one that takes the place of another may have a third in its digits
    script = re.sub("|".join(ports), lambda named: ports[named[0]], script_of(page))
    for name in ("examples", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UNBROKEN_", "PYTEST_"))}
    environment |= {
        "PATH": f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ROOT": str(ROOT),
        "VENV": sys.prefix,
        "HOME": str(tmp_path),
        "UNBROKEN_PORT": ports[PLATFORM_PORT],  # for what takes the default
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{name_of(page)} stopped after\n{done.stdout}"


def test_there_is_something_to_run_on_every_such_page():
    for page in RUNNABLE:
        assert any(block.language in {"bash", "python"} for block in blocks(page)), name_of(page)

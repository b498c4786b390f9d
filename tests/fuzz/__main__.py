"""Throws changed inputs at one reader of what strangers send: `python -m tests.fuzz cbor --seconds 60`.

    python -m tests.fuzz --list                           the readers there are
    python -m tests.fuzz token --seconds 600 --seed 7     the same inputs as every run with that seed, mutation only
    python -m tests.fuzz der --engine mutation            without atheris

With atheris (`pip install 'unbroken[fuzz]'`; Linux) the search is guided by what each input reaches. Without it inputs
are seeds that were changed at random. A reader fails by raising what it does not declare, or by taking what it must
not; the input is printed, and the exit code is 1 (atheris: 77).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.fuzz.mutation import fuzz
from tests.fuzz.table import target, targets


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    words.add_argument("reader", nargs="?", help="one of --list")
    words.add_argument("--list", action="store_true", help="name the readers and end")
    words.add_argument("--seconds", type=int, default=60)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--engine", choices=["atheris", "mutation"], help="atheris where it is installed")
    told = words.parse_args()
    if told.list:
        print(*sorted(targets()), sep="\n")
        return 0
    if told.reader not in targets():
        words.error(f"name a reader: {', '.join(sorted(targets()))}")
    engine = told.engine or ("atheris" if importlib.util.find_spec("atheris") else "mutation")
    return {"atheris": with_atheris, "mutation": with_mutation}[engine](told.reader, told.seconds, told.seed)


def with_mutation(reader: str, seconds: int, seed: int) -> int:
    result = fuzz(target(reader), seed=seed, seconds=seconds)
    print(f"{reader}: {result.tried:,} inputs in {seconds} s, seed {seed}; {result.kept:,} kept to change further")
    if result.failure is not None:
        print(f"failed on {result.failed_on!r}\n{result.failure!r}", file=sys.stderr)
    return 0 if result.failure is None else 1


def with_atheris(reader: str, seconds: int, seed: int) -> int:
    """Ends the process: libFuzzer does."""
    import atheris

    with atheris.instrument_imports(include=["unbroken"]):
        chosen = target(reader)
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{reader}-"))
    for n, content in enumerate(chosen.seeds):
        (corpus / f"seed-{n}").write_bytes(content)
    longest = 2 * max(map(len, chosen.seeds)) + 64
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={longest}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], chosen.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())

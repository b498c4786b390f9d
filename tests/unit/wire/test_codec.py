"""JSON of the wire's types, from any thread."""

from __future__ import annotations

import subprocess
import sys
import textwrap

FIRST_USES = """
    import sys, threading
    import msgspec
    from unbroken import wire

    sys.setswitchinterval(1e-6)
    for number in range(200):
        inner = [msgspec.defstruct(f"Inner{number}{n}", [(f"a{k}", int, 0) for k in range(20)]) for n in range(5)]
        outer = msgspec.defstruct(f"Outer{number}", [(f"b{n}", one | None, None) for n, one in enumerate(inner)])
        barrier, seen = threading.Barrier(4), []

        def use(outer=outer, barrier=barrier, seen=seen):
            barrier.wait()
            seen.append(wire.decode(b'{"b0":{"a1":7}}', outer).b0.a1)
            seen.append(wire.convert({"b0": {"a1": 7}}, outer).b0.a1)

        threads = [threading.Thread(target=use) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert seen == [7] * 8
"""


def test_threads_that_use_a_type_for_the_first_time_at_once_live():
    """msgspec alone ends the process here, so it is one of its own."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FIRST_USES)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()

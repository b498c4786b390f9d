"""The clock of a running process, turned forward and back as a host's clock is; the machine's own stays as it is.

Programs read the time from the vDSO, a piece of code that the kernel maps into each process, and so do PostgreSQL,
Python and NATS. Go uses no C library, so a library that is loaded before it (`LD_PRELOAD`) changes nothing of NATS.
Here the process's own copy of the vDSO is changed instead: the three functions that tell the time of day begin with a
jump to a few instructions in the room behind them, which ask the kernel and add an offset. A turn of the clock
writes the offset, eight bytes, at once. What counts seconds (the monotonic clock) is left alone, as it is by a host's.

Linux on x86-64, and root or the owner of the process.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from unbroken.testing.member import children_of

if TYPE_CHECKING:
    from io import FileIO

HOUR_S: Final = 3600

_FUNCTIONS: Final = {
    # mov eax,228; syscall; test eax,eax; jnz end; test edi,edi; jz add; cmp edi,5 (COARSE); jne end;
    # add: mov rdx,[offset]; add [rsi],rdx; end: ret
    b"__vdso_clock_gettime": ("b8e40000000f0585c0751385ff740583ff05750a488b15", "480116c3"),
    # mov eax,96; syscall; test eax,eax; jnz end; test rdi,rdi; jz end; mov rdx,[offset]; add [rdi],rdx; end: ret
    b"__vdso_gettimeofday": ("b8600000000f0585c0750f4885ff740a488b15", "480117c3"),
    # push rdi; xor edi,edi; mov eax,201; syscall; add rax,[offset]; pop rdi; test rdi,rdi; jz end; mov [rdi],rax
    b"__vdso_time": ("5731ffb8c90000000f05480305", "5f4885ff7403488907c3"),
}
"""The instructions before and behind the distance to the offset."""


class CannotTurn(RuntimeError):
    """The clock of this process cannot be turned; the message says why."""


def turn(pid: int, seconds: int) -> None:
    """Let a process and all that it has started read a time `seconds` away from the machine's; 0 sets it right.

    What it forks later reads the same time as it; a program that is started anew reads the machine's.

    Raises:
        CannotTurn: not on this machine, or not this process.
    """
    if platform.machine() != "x86_64" or not Path("/proc/self/maps").exists():
        raise CannotTurn(f"Clocks are turned on Linux on x86-64 only, not on {platform.machine()}.")
    for each in tree(pid):
        try:
            _turn_one(each, seconds)
        except (FileNotFoundError, ProcessLookupError):
            if each == pid:
                raise CannotTurn(f"There is no process {pid}.") from None


def tree(pid: int) -> list[int]:
    """A process and all that it has started; those before these, so that no later one is missed."""
    found = [pid]
    for each in found:
        found += children_of(each)
    return found


def _turn_one(pid: int, seconds: int) -> None:
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        start, end = _where(pid)
        memory.seek(start)
        image = memory.read(end - start)
        offset_at = len(image) - 8
        _write(memory, start + offset_at, struct.pack("<q", seconds))
        for at, code in _changes(image, offset_at):
            _write(memory, start + at, code)


def _where(pid: int) -> tuple[int, int]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            start, _, end = line.split()[0].partition("-")
            return int(start, 16), int(end, 16)
    raise CannotTurn(f"The process {pid} has no vDSO.")


def _changes(image: bytes, offset_at: int) -> list[tuple[int, bytes]]:
    """What to write where: the new functions, then the jumps to them; nothing if they are there already."""
    starts = _symbols(image)
    if image[starts[b"__vdso_time"]] == 0xE9:
        return []
    room = len(image.rstrip(b"\0")) + 64
    bodies, jumps = [], []
    for name, (before, behind) in _FUNCTIONS.items():
        head, tail = bytes.fromhex(before), bytes.fromhex(behind)
        bodies.append((room, head + struct.pack("<i", offset_at - (room + len(head) + 4)) + tail))
        jumps.append((starts[name], b"\xe9" + struct.pack("<i", room - (starts[name] + 5))))
        room += 96
    if room > offset_at:
        raise CannotTurn("This kernel's vDSO has no room for an offset.")
    return bodies + jumps


def _symbols(image: bytes) -> dict[bytes, int]:
    """Where each function of an ELF image begins, by its dynamic symbols."""
    sections_at, size, count = (
        *struct.unpack_from("<Q", image, 0x28),
        *struct.unpack_from("<HH", image, 0x3A),
    )
    heads = [struct.unpack_from("<IIQQQQIIQQ", image, sections_at + n * size) for n in range(count)]
    dynamic = next(head for head in heads if head[1] == 11)  # SHT_DYNSYM
    names_at = heads[dynamic[6]][4]
    found = {}
    for at in range(dynamic[4], dynamic[4] + dynamic[5], 24):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, at)
        begin = names_at + name
        found[image[begin : image.index(b"\0", begin)]] = value
    return found


def _write(memory: FileIO, at: int, content: bytes) -> None:
    memory.seek(at)
    memory.write(content)

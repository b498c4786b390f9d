"""A full disk takes not one byte more; an emptied one does, and keeps what it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.faults.matrix.disks import SmallDisk

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_takes_nothing_and_an_emptied_one_goes_on(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 3) as disk:
        kept = disk.place / "kept"
        kept.write_bytes(b"before")

        disk.fill()
        assert disk.free_bytes == 0
        with pytest.raises(OSError, match="No space left"):
            (disk.place / "more").write_bytes(b"x")

        disk.free()
        (disk.place / "more").write_bytes(b"x" * 1_000_000)
        assert kept.read_bytes() == b"before"
    assert not kept.exists()

"""The stream: what is made is safe, and whatever is not is named."""

from __future__ import annotations

from typing import Any

import pytest

from unbroken.log.jetstream.stream import Wanted, dangers

WANTED = Wanted("unbroken", 3, 1 << 30)
SAFE = WANTED.config("mark", 1)


def test_what_we_make_ourselves_is_safe():
    assert dangers(SAFE, WANTED) == []


def test_more_replicas_than_wanted_are_safe_too():
    assert dangers(SAFE | {"num_replicas": 5}, WANTED) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"storage": "memory"}, "storage must be file"),
        ({"retention": "workqueue"}, "retention must be limits"),
        ({"discard": "old"}, "discard must be new"),
        ({"allow_direct": False}, "allow_direct must be True"),
        ({"num_replicas": 1}, "num_replicas must be 3 or more"),
        ({"max_age": 1}, "max_age must not be set"),
        ({"max_msgs": 1}, "max_msgs must not be set"),
        ({"max_msgs_per_subject": 1}, "max_msgs_per_subject must not be set"),
        ({"max_msg_size": 1}, "max_msg_size must not be set"),
        ({"max_bytes": -1}, "max_bytes must be set"),
        ({"no_ack": True}, "no_ack must not be set"),
        ({"deny_delete": True}, "deny_delete must not be set"),
        ({"deny_purge": True}, "deny_purge must not be set"),
        ({"sealed": True}, "sealed must not be set"),
        ({"persist_mode": "async"}, "persist_mode must be default"),
        ({"subjects": ["unbroken.>"]}, "subjects must be unbroken.p.*.* and unbroken.reserved"),
    ],
)
def test_each_danger_is_named_alone(change: dict[str, Any], told: str):
    assert dangers(SAFE | change, WANTED) == [told]


def test_the_subject_of_an_install_fits_that_of_its_partition_and_of_no_other():
    assert WANTED.of_install(7, b"\x01" * 12) == "unbroken.p.7." + "01" * 12
    assert WANTED.of_partition(7) == "unbroken.p.7.*"

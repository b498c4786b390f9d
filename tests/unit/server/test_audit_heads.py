"""A server says where the audit log ends, and notices that it was cut, also while it did not run."""

from __future__ import annotations

import json

from unbroken.flow import audit_log
from unbroken.server.audit_heads import HEADS_FILE, AuditHeads
from unbroken.server.metrics import Metrics
from unbroken.server.settings import Settings


def heads_of(opened, data, metrics=None, **settings):
    return AuditHeads(opened.context, metrics or Metrics(), Settings(data=data, **settings))


async def cut(opened, position):
    await opened.context.store.write(lambda tx: tx.run("DELETE FROM audit WHERE position > $1", position))


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_head_is_a_signed_line_of_a_file_a_line_of_the_log_and_a_metric(world, tmp_path, log_output):
    async def step(opened):
        metrics, heads_file = Metrics(), tmp_path / "elsewhere"
        heads = heads_of(opened, tmp_path, metrics, audit_file=str(heads_file))
        await opened.app()
        await heads.publish()
        await heads.publish()
        await opened.app()
        await heads.publish()
        assert [line["entries"] for line in lines_of(heads_file)] == [1, 2]
        told = [json.loads(line) for line in log_output.getvalue().splitlines()]
        assert [(line["event"], line["entries"]) for line in told] == [("audit head", 1), ("audit head", 2)]
        assert "unbroken_audit_entries 2.0" in metrics.page().decode()
        published = audit_log.read_heads(opened.context, heads_file.read_bytes())
        assert (await audit_log.verify(opened.context, published)).bad is None
        await cut(opened, 1)
        assert (await audit_log.verify(opened.context, published)).bad.position == 2

    world(step)


def test_a_log_that_was_cut_is_told_of_by_the_server_that_ran_and_by_the_next_one(world, tmp_path, log_output):
    async def step(opened):
        metrics, later = Metrics(), Metrics()
        heads = heads_of(opened, tmp_path, metrics)
        for _ in range(3):
            await opened.app()
        await heads.publish()
        await cut(opened, 1)
        next_one = heads_of(opened, tmp_path, later)
        for one in (heads, next_one):
            await one.publish()
        assert "unbroken_audit_cuts_total 1.0" in metrics.page().decode()
        assert "unbroken_audit_cuts_total 0.0" in later.page().decode(), "the first one has said so, and where it ends"
        assert log_output.getvalue().count("AUDIT_CUT") == 1
        await cut(opened, 0)
        last = Metrics()
        await heads_of(opened, tmp_path, last).publish()
        assert "unbroken_audit_cuts_total 1.0" in last.page().decode()

    world(step)


def test_a_cut_is_told_of_by_the_next_server_though_half_a_line_or_an_empty_one_stands_behind_the_last_head(
    world, tmp_path, log_output
):
    async def step(opened):
        for _ in range(3):
            await opened.app()
        await heads_of(opened, tmp_path).publish()
        await cut(opened, 1)
        with (tmp_path / HEADS_FILE).open("a") as file:
            file.write('\n{"of": "unbro')
        await heads_of(opened, tmp_path).publish()
        assert log_output.getvalue().count("AUDIT_CUT") == 1

    world(step)


def test_half_a_line_makes_way(world, tmp_path):
    async def step(opened):
        (tmp_path / HEADS_FILE).write_text('{"of": "unbro')
        await opened.app()
        await heads_of(opened, tmp_path).publish()
        await opened.app()
        await heads_of(opened, tmp_path).publish()
        assert [line["entries"] for line in lines_of(tmp_path / HEADS_FILE)] == [1, 2]

    world(step)

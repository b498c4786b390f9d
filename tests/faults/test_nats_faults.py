"""What is left when NATS servers die, when the stream is full, and when a worker is killed or sleeps too long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.contract import Record
from unbroken.log.jetstream import JetStreamLog, stream
from unbroken.log.jetstream.connection import Connection
from unbroken.log.jetstream.stream import Wanted
from unbroken.store.contract import Store, StoreRefused, StoreUnavailable
from unbroken.store.postgres import PostgresStore
from unbroken.testing.in_process import KEY_RING
from unbroken.testing.nats import NatsCluster, NatsServer, delete_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from unbroken.testing.postgres import Schemas

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000_000
SENDERS = 16
ENOUGH = 60


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[NatsCluster]:
    with NatsCluster(getattr(request, "param", 1)) as running:
        yield running


@asynccontextmanager
async def opened(schemas: Schemas, cluster: NatsCluster, **how: Any) -> AsyncIterator[tuple[Store, JetStreamLog]]:
    store = await PostgresStore.open(how.pop("database_url", None) or schemas.create(), keys=KEY_RING)
    wanted = how.pop("wanted", Wanted("faults", len(cluster.servers), 64 << 20))
    try:
        log = await JetStreamLog.open(store, cluster.url, wanted, how.pop("mark", "one"), **how)
        try:
            yield store, log
        finally:
            await log.close()
    finally:
        await store.close()


async def test_a_server_that_would_not_take_the_largest_upload_is_refused(schemas, tmp_path) -> None:
    """As NATS comes: a megabyte a message, and such an upload would be answered 503 for ever."""
    server = NatsServer("small", tmp_path / "small", max_payload=1 << 20).start()
    try:
        store = await PostgresStore.open(schemas.create(), keys=KEY_RING)
        with pytest.raises(StoreRefused, match="max_payload: 2MB"):
            await JetStreamLog.open(store, server.url, Wanted("small", 1, 64 << 20), "one")
        await store.close()
    finally:
        server.kill()


class Senders:
    """Installs that upload without a pause and come again when they are refused, as phones do."""

    def __init__(self, log: JetStreamLog) -> None:
        self.acknowledged: dict[bytes, list[int]] = {b"install-%04d" % n: [] for n in range(SENDERS)}
        self.refused = 0
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []
        self._grew = asyncio.Event()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._send(install_id)) for install_id in self.acknowledged]

    async def until(self, count: int) -> None:
        """Return when so many more were acknowledged."""
        aim = self.count + count
        async with asyncio.timeout(90):
            while self.count < aim:
                await self._grew.wait()
                self._grew.clear()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def _send(self, install_id: bytes) -> None:
        number = 0
        while True:
            try:
                await self._log.append(Record(install_id, NOW + number, b"x" * 500), first_of_install=False)
            except StoreUnavailable:
                self.refused += 1
                continue
            self.acknowledged[install_id].append(NOW + number)
            self._grew.set()
            number += 1


async def everything(log: JetStreamLog) -> dict[bytes, list[int]]:
    """What is stored, by install, in its order."""
    stored: dict[bytes, list[int]] = {}
    for partition in await log.behind():
        for _, record in await log.read(partition, 1_000_000):
            stored.setdefault(record.install_id, []).append(record.received_at)
    return stored


def assert_nothing_lost(acknowledged: dict[bytes, list[int]], stored: dict[bytes, list[int]]) -> None:
    """An upload that was refused and sent again may be there twice, and keeps its place."""
    for install_id, numbers in acknowledged.items():
        assert set(numbers) <= set(stored[install_id])
        assert stored[install_id] == sorted(stored[install_id])


async def test_what_was_acknowledged_is_there_after_the_server_was_killed_under_load(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    database_url = schemas.create()
    async with opened(schemas, cluster, database_url=database_url) as (_, log):
        senders = Senders(log)
        senders.start()
        for _ in range(3):
            await senders.until(ENOUGH)
            cluster.servers[0].kill()
            await asyncio.to_thread(cluster.servers[0].start)
        await senders.until(ENOUGH)
        await senders.stop()

    async with opened(schemas, cluster, database_url=database_url, mark="two") as (_, log):
        assert_nothing_lost(senders.acknowledged, await everything(log))
    assert senders.count >= 4 * ENOUGH


@pytest.mark.parametrize("cluster", [3], indirect=True)
async def test_three_nodes_lose_nothing_and_go_on_when_their_leader_is_killed(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    async with opened(schemas, cluster) as (_, log):
        senders = Senders(log)
        senders.start()
        await senders.until(ENOUGH)
        leader = await asyncio.to_thread(cluster.leader_of, "faults")
        leader.kill()
        await senders.until(ENOUGH)  # two of three go on
        await asyncio.to_thread(leader.start)
        await senders.until(ENOUGH)
        await senders.stop()

        assert_nothing_lost(senders.acknowledged, await everything(log))


@pytest.mark.parametrize("cluster", [3], indirect=True)
async def test_a_process_that_starts_while_nobody_leads_waits_for_a_leader(
    schemas: Schemas, cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ELECTION_S", 60.0)  # a machine that is busy with other tests is slow to elect
    database_url, (first, *others) = schemas.create(), cluster.servers
    async with opened(schemas, cluster, database_url=database_url) as (_, log):
        await log.append(Record(b"install-0001", NOW, b"before"), first_of_install=False)
    for server in cluster.servers:
        await asyncio.to_thread(server.kill)
    first.spawn()  # a minority, and not one that led a moment ago

    async def starts() -> None:
        async with opened(schemas, cluster, database_url=database_url, mark="two") as (_, log):
            assert await everything(log) == {b"install-0001": [NOW]}

    starting = asyncio.create_task(starts())
    assert not (await asyncio.wait([starting], timeout=6))[0], starting  # longer than one request waits
    for server in others:
        server.spawn()
    async with asyncio.timeout(60):
        await starting


@pytest.mark.parametrize("cluster", [3], indirect=True)
async def test_a_stream_is_made_though_a_node_that_it_needs_is_only_starting(
    schemas: Schemas, cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ELECTION_S", 60.0)
    last = cluster.servers[-1]
    await asyncio.to_thread(last.kill)

    async def starts() -> None:
        async with opened(schemas, cluster) as (_, log):
            await log.append(Record(b"install-0001", NOW, b"first"), first_of_install=False)

    starting = asyncio.create_task(starts())
    await asyncio.wait([starting], timeout=3)  # for so long the others may not know yet that it is gone
    last.spawn()
    async with asyncio.timeout(60):
        await starting


async def test_uploads_are_refused_while_no_server_is_there_and_taken_again_afterwards(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    async with opened(schemas, cluster) as (_, log):
        await log.append(Record(b"install-0001", NOW, b"before"), first_of_install=False)
        cluster.servers[0].kill()

        with pytest.raises(StoreUnavailable):
            await log.append(Record(b"install-0001", NOW, b"meanwhile"), first_of_install=False)
        assert "not connected" in (await log.trouble() or "")

        await asyncio.to_thread(cluster.servers[0].start)
        await until_it_takes(log)
        assert await log.trouble() is None


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_a_process_lets_go_of_a_server_that_is_gone_in_the_middle_of_a_word(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    async with opened(schemas, cluster) as (_, log):
        cluster.servers[0].kill()
        async with asyncio.timeout(30):
            while log._connection.is_there:  # noqa: ASYNC110 - the client tells nobody
                await asyncio.sleep(0.01)
        await log._connection.say("somebody", b"is there?")


async def until_it_takes(log: JetStreamLog) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreUnavailable):
                await log.append(Record(b"install-0001", NOW, b"after"), first_of_install=False)
                return


async def test_what_waits_for_its_acknowledgement_is_bounded(schemas: Schemas, cluster: NatsCluster) -> None:
    async with opened(schemas, cluster, window_bytes=10_000) as (_, log):
        record = Record(b"install-0001", NOW, b"x" * 1_000)

        answers = await asyncio.gather(
            *[log.append(record, first_of_install=False) for _ in range(50)], return_exceptions=True
        )

        refused = [answer for answer in answers if isinstance(answer, StoreUnavailable)]
        assert 0 < len(refused) < 50
        assert [answer for answer in answers if answer is not None] == refused
        assert log.publisher.waiting_bytes == 0
        await log.append(record, first_of_install=False)


async def test_a_full_stream_refuses_and_drops_nothing(schemas: Schemas, cluster: NatsCluster) -> None:
    async with opened(schemas, cluster, wanted=Wanted("faults", 1, 40_000)) as (store, log):
        stored = 0
        with suppress(StoreUnavailable):
            while stored < 100:
                await log.append(Record(b"install-0001", NOW + stored, b"x" * 1_000), first_of_install=False)
                stored += 1
        assert 10 < stored < 40
        assert "full" in (await log.trouble() or "")

        partition = log.partition_of(b"install-0001")
        read = await log.read(partition, 1_000)
        assert [record.received_at for _, record in read] == [NOW + number for number in range(stored)]

        await store.write(lambda tx: log.take(tx, b"install-0001"))
        await log.scrub([b"install-0001"])
        await log.append(Record(b"install-0001", NOW, b"x" * 1_000), first_of_install=False)


async def test_what_was_processed_is_let_go_of_after_a_while_and_what_waits_is_not(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    async with opened(schemas, cluster, needed_s=0.0) as (store, log):
        for body in (b"a", b"b", b"c"):
            await log.append(Record(b"install-0001", NOW, body), first_of_install=False)
        partition = log.partition_of(b"install-0001")
        epoch = (await log.lease([partition], "me", NOW, NOW + 1_000))[partition]
        second = (await log.read(partition, 2))[-1][0]
        await store.write(lambda tx: log.commit(tx, partition, epoch, second))
        assert messages(cluster) == 3

        await log.trim()

        assert messages(cluster) == 1
        assert [record.body for _, record in await log.read(partition, 10)] == [b"c"]


def messages(cluster: NatsCluster) -> int:
    """How many the stream holds, as the server's monitor says."""
    (told,) = cluster.servers[0].streams()["account_details"][0]["stream_detail"]
    return int(told["state"]["messages"])


async def test_an_erased_body_is_in_no_file_of_the_server(schemas: Schemas, cluster: NatsCluster) -> None:
    async with opened(schemas, cluster) as (store, log):
        await log.append(Record(b"install-0001", NOW, b"a canary that sings"), first_of_install=False)
        await log.append(Record(b"install-0002", NOW, b"another one"), first_of_install=False)
        assert files_with(cluster, b"canary")

        await store.write(lambda tx: log.take(tx, b"install-0001"))
        await log.scrub([b"install-0001"])

        assert files_with(cluster, b"canary") == []
        assert files_with(cluster, b"install-0001".hex().encode()) == []
        assert files_with(cluster, b"another one")


def files_with(cluster: NatsCluster, needle: bytes) -> list[str]:
    files = [path for path in cluster.servers[0].directory.rglob("*.blk") if path.is_file()]
    return [path.name for path in files if needle in path.read_bytes()]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"discard": "old"}, "discard must be new"),
        ({"storage": "memory"}, "storage must be file"),
        ({"max_age": 3_600_000_000_000}, "max_age must not be set"),
        ({"max_bytes": -1}, "max_bytes must be set"),
    ],
)
async def test_an_unsafe_stream_is_refused_at_start(
    schemas: Schemas, cluster: NatsCluster, change: dict[str, Any], told: str
) -> None:
    wanted = Wanted("faults", 1, 1 << 20)
    await make_stream(cluster, wanted.config("somebody", 1) | change)

    with pytest.raises(StoreRefused, match=told):
        async with opened(schemas, cluster, wanted=wanted):
            pass


async def make_stream(cluster: NatsCluster, config: dict[str, Any]) -> None:
    connection = await Connection.open(cluster.url)
    await connection.ask(f"STREAM.CREATE.{config['name']}", config)
    await connection.close()


async def test_a_stream_of_another_database_is_refused(schemas: Schemas, cluster: NatsCluster) -> None:
    async with opened(schemas, cluster) as (_, log):
        await log.append(Record(b"install-0001", NOW, b"mine"), first_of_install=False)

    with pytest.raises(StoreRefused, match="knows nothing of it"):
        async with opened(schemas, cluster, mark="two"):
            pass


async def test_a_lost_stream_is_not_silently_made_anew(schemas: Schemas, cluster: NatsCluster) -> None:
    database_url = schemas.create()
    async with opened(schemas, cluster, database_url=database_url):
        pass
    await delete_stream(cluster.url, "faults")

    with pytest.raises(StoreRefused, match="is not there"):
        async with opened(schemas, cluster, database_url=database_url):
            pass


async def test_a_stream_brought_back_from_an_older_copy_is_refused_until_it_goes_on_behind_what_was_processed(
    schemas: Schemas, cluster: NatsCluster
) -> None:
    """Else it gave out sequences that the cursors have passed: whoever got a 202 for one was never heard of again."""
    database_url, install_id = schemas.create(), b"install-0001"
    wanted = Wanted("faults", 1, 64 << 20)
    async with opened(schemas, cluster, database_url=database_url) as (store, log):
        for body in (b"a", b"b", b"c"):
            await log.append(Record(install_id, NOW, body), first_of_install=False)
        partition = log.partition_of(install_id)
        epoch = (await log.lease([partition], "worker", NOW, NOW + 10_000))[partition]
        *_, (last, _) = await log.read(partition, 10)
        await store.write(lambda tx: log.commit(tx, partition, epoch, last))
    await delete_stream(cluster.url, "faults")
    await make_stream(cluster, wanted.config("one", 1))

    with pytest.raises(StoreRefused, match=r"ends with message 0, .* up to 3: .*nats stream purge faults --seq=4"):
        async with opened(schemas, cluster, database_url=database_url):
            pass

    connection = await Connection.open(cluster.url)
    await connection.ask("STREAM.PURGE.faults", {"seq": 4})
    await connection.close()
    async with opened(schemas, cluster, database_url=database_url) as (_, log):
        await log.append(Record(install_id, NOW, b"d"), first_of_install=False)
        assert [record.body for _, record in await log.read(partition, 10)] == [b"d"]

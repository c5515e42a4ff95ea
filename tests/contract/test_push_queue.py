"""The contract of `PushQueue`."""

from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.adapters.memory.push_queue import MemoryPushQueue
from cooee.adapters.sqlite import push_queue
from cooee.adapters.sqlite.store import SqliteStore
from cooee.ports.push_queue import PushEntry
from tests.contract.stores import HOSTILE, Store, reopened


def entry(
    number: int = 1, due_at: int = 0, device_id: str = "", conversation_id: str = "c", user: str = "u"
) -> PushEntry:
    return PushEntry(user, device_id, conversation_id, number, due_at)


async def test_what_is_due_comes_earliest_first_and_stays(store: Store) -> None:
    late, soon, now = entry(due_at=30, user="a"), entry(due_at=20, user="b"), entry(due_at=10, user="c")
    await store.push_queue.append([late, soon, now])
    await store.push_queue.append([])
    assert await store.push_queue.due(9, 10) == []
    assert await store.push_queue.due(20, 10) == [now, soon]
    assert await store.push_queue.due(99, 1) == [now]
    assert await store.push_queue.due(99, 10) == [now, soon, late]


async def test_what_is_due_comes_without_that_of_some_users(store: Store) -> None:
    await store.push_queue.append([*(entry(conversation_id=f"c{n}", user="many") for n in range(9)), entry(due_at=1)])
    assert {one.user_id for one in await store.push_queue.due(99, 5)} == {"many"}
    assert await store.push_queue.due(99, 5, {"many", *HOSTILE}) == [entry(due_at=1)]
    assert await store.push_queue.due(99, 5, ["u", "many"]) == []


async def test_a_later_message_replaces_the_number_and_keeps_the_earlier_time(store: Store) -> None:
    await store.push_queue.append([entry(5, 50), entry(7, 90)])
    assert await store.push_queue.due(99, 10) == [entry(7, 50)]
    await store.push_queue.append([entry(6, 40)])
    assert await store.push_queue.due(99, 10) == [entry(7, 40)]


async def test_entries_differ_by_user_device_and_conversation(store: Store) -> None:
    entries = [entry(), entry(device_id="d"), entry(conversation_id="x"), entry(user="v")]
    await store.push_queue.append(entries)
    assert len(await store.push_queue.due(0, 10)) == 4


async def test_complete_removes_what_was_not_replaced(store: Store) -> None:
    await store.push_queue.append([entry(1), entry(1, device_id="d")])
    due = await store.push_queue.due(0, 10)
    await store.push_queue.append([entry(2, 100)])
    await store.push_queue.complete(due)
    await store.push_queue.complete([])
    assert await store.push_queue.due(0, 10) == [entry(2, 0)]
    await store.push_queue.complete([entry(2, 0), entry(9, user="unknown")])
    assert await store.push_queue.due(999, 10) == []


async def test_what_is_postponed_comes_later_and_keeps_its_number(store: Store) -> None:
    await store.push_queue.append([entry(5, 10), entry(1, 10, device_id="d")])
    await store.push_queue.postpone([entry(4, 30), entry(9, 5, device_id="d"), entry(1, 99, user="unknown")])
    await store.push_queue.postpone([])
    assert await store.push_queue.due(29, 10) == [entry(1, 10, device_id="d")]
    assert await store.push_queue.due(999, 10) == [entry(1, 10, device_id="d"), entry(5, 30)]
    await store.push_queue.append([entry(6, 20)])
    assert entry(6, 20) in await store.push_queue.due(20, 10)


async def test_reading_cancels_what_it_covers(store: Store) -> None:
    kept = [entry(9, device_id="d2"), entry(1, conversation_id="x"), entry(1, user="v")]
    await store.push_queue.append([entry(5), entry(3, device_id="d1"), *kept])
    await store.push_queue.cancel("u", "c", 5)
    left = await store.push_queue.due(0, 10)
    assert sorted(left, key=repr) == sorted(kept, key=repr)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    hostile = PushEntry(text, text, text, 1, 1)
    await store.push_queue.append([hostile])
    assert await store.push_queue.due(1, 5) == [hostile]
    await store.push_queue.complete([hostile])
    assert await store.push_queue.due(1, 5) == []


async def test_entries_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await sqlite_store.push_queue.append([entry(1), entry(2, device_id="d")])
    await sqlite_store.push_queue.complete([entry(1)])
    again = await reopened(sqlite_store, tmp_path)
    assert await again.push_queue.due(0, 10) == [entry(2, device_id="d")]
    await again.aclose()


async def test_due_and_cancel_walk_an_index(sqlite_store: SqliteStore) -> None:
    def plan(connection: apsw.Connection) -> list[str]:
        sqls = ((push_queue._DUE, (1, "[]", 1)), (push_queue._CANCEL, ("u", "c", 1)))
        return [row[3] for sql, values in sqls for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    assert [step for step in await sqlite_store.database.read(plan) if "push_entry" in step] == [
        "SEARCH push_entry USING INDEX push_entry_due (due_at<?)",
        "SEARCH push_entry USING PRIMARY KEY (user_id=? AND conversation_id=?)",
    ]


entries = st.builds(
    PushEntry,
    st.sampled_from("uv"),
    st.sampled_from(["", "d"]),
    st.sampled_from("xy"),
    st.integers(1, 5),
    st.integers(0, 5),
)
moves = st.lists(
    st.tuples(st.sampled_from(["append", "complete", "cancel", "postpone"]), st.lists(entries, max_size=4)), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(moves)
async def test_both_stores_agree(sqlite_store: SqliteStore, operations: list[tuple[str, list[PushEntry]]]) -> None:
    await sqlite_store.database.write(lambda connection: connection.execute("DELETE FROM push_entry").get)
    memory = MemoryPushQueue()
    for name, some in operations:
        for queue in (memory, sqlite_store.push_queue):
            if name == "append":
                await queue.append(some)
            elif name == "complete":
                await queue.complete(some)
            elif name == "postpone":
                await queue.postpone(some)
            else:
                for one in some:
                    await queue.cancel(one.user_id, one.conversation_id, one.sequence_number)
    assert await sqlite_store.push_queue.due(9, 99) == await memory.due(9, 99)
    assert await sqlite_store.push_queue.due(2, 2) == await memory.due(2, 2)

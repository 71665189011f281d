"""The queue in SQLite: what one process does, another sees."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ser.errors import NotFoundError
from ser_inference_server.failures import OverloadedError
from ser_inference_server.jobs.store import JobStore, State


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "state" / "jobs.sqlite")
    yield store
    store.close()


def add(store: JobStore) -> str:
    return store.add({"a": 1}, max_queued=10).job_id


def test_a_job_goes_from_the_queue_to_its_end(store: JobStore) -> None:
    first, second = add(store), add(store)
    assert [store.get(job).ahead for job in (first, second)] == [0, 1]
    assert store.start(first)
    assert not store.start(first)
    store.tell(first, {"stage": "train"})
    assert store.get(first).progress == {"stage": "train"}
    store.succeed(first, {"model_id": "m"})
    job = store.get(first)
    assert (job.state, job.result, job.ahead) == (State.SUCCEEDED, {"model_id": "m"}, 0)
    assert job.created <= (job.started or 0) <= (job.ended or 0)
    assert store.get(second).ahead == 0


def test_what_is_over_stays_as_it_is(store: JobStore) -> None:
    job_id = add(store)
    store.start(job_id)
    store.succeed(job_id, {"model_id": "m"})
    before = store.get(job_id)
    store.fail(job_id, {"message": "late"})
    store.tell(job_id, {"stage": "late"})
    store.requeue(job_id)
    store.cancel(job_id)
    assert store.get(job_id) == before


def test_cancel(store: JobStore) -> None:
    waiting, running = add(store), add(store)
    store.start(running)
    assert store.cancel(waiting).state is State.CANCELLED
    job = store.cancel(running)
    assert (job.state, job.cancel) == (State.RUNNING, True)
    store.fail(running, {"message": "killed"})
    assert (store.get(running).state, store.get(running).error) == (State.CANCELLED, None)


def test_a_job_that_goes_back_keeps_its_place_unless_it_is_to_be_cancelled(store: JobStore) -> None:
    first, second, third = add(store), add(store), add(store)
    store.start(first)
    store.start(third)
    store.cancel(third)
    store.requeue(first)
    store.requeue(third)
    assert [job.job_id for job in store.in_state(State.QUEUED)] == [first, second]
    assert store.get(first).started is None
    assert store.get(third).state is State.CANCELLED


def test_the_queue_is_bounded_whoever_adds(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).close()

    def one(_: int) -> bool:
        store = JobStore(path)
        try:
            store.add({}, max_queued=5)
        except OverloadedError:
            return False
        finally:
            store.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(20))) == 5


def test_what_is_refused_leaves_the_queue_as_it_was_and_open_to_others(store: JobStore, tmp_path: Path) -> None:
    add(store)
    with pytest.raises(OverloadedError):
        store.add({"a": 2}, max_queued=1)
    other = JobStore(tmp_path / "state" / "jobs.sqlite")
    second = add(other)  # not held up by what was refused
    other.close()
    assert store.newest(10)[0].job_id == second
    assert store.cancel(second).state is State.CANCELLED
    assert len(store.newest(10)) == 2


def test_pages_and_counts(store: JobStore) -> None:
    ids = [add(store) for _ in range(5)]
    page = store.newest(2)
    assert [job.job_id for job in page] == [ids[4], ids[3]]
    assert [job.job_id for job in store.newest(9, before=page[-1].number)] == [ids[2], ids[1], ids[0]]
    assert store.counts() == {state: 5 if state is State.QUEUED else 0 for state in State}


def test_an_unknown_job_says_which_there_are(store: JobStore) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        store.get("job-x")
    job_id = add(store)
    with pytest.raises(NotFoundError, match=job_id):
        store.get("job-x")


def test_another_process_sees_it(store: JobStore, tmp_path: Path) -> None:
    job_id = add(store)
    code = (
        "import sys; from pathlib import Path; from ser_inference_server.jobs.store import JobStore\n"
        f"store = JobStore(Path({str(tmp_path / 'state' / 'jobs.sqlite')!r})); store.start({job_id!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert store.get(job_id).state is State.RUNNING


def test_jobs_that_ended_long_ago_are_forgotten_and_no_other(store: JobStore) -> None:
    ids = [add(store) for _ in range(4)]
    for job_id in ids[:3]:
        store.start(job_id)
    store.succeed(ids[0], {})
    store.fail(ids[1], {"message": "m"})
    assert store.forget(before=time.time() - 60) == 0
    assert store.forget(before=time.time() + 60) == 2
    assert {job.job_id for job in store.newest(9)} == {ids[2], ids[3]}
    assert add(store) not in ids


def test_only_a_job_that_runs_goes_back_into_the_queue(store: JobStore) -> None:
    over, running = add(store), add(store)
    for job_id in (over, running):
        store.start(job_id)
    store.succeed(over, {"model_id": "m"})
    assert store.requeue(running)
    assert not store.requeue(over)

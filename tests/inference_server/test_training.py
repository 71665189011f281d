"""Trainings over both protocols, end to end: real sockets, real child processes."""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format

from ser.synthesis import synthesise_corpus
from ser_api.v1 import ser_pb2
from tests.deadlines import tries, wait_gone
from tests.inference_server.harness import Server, serve
from tests.signals import tone, wav

LONG = {"epochs": 50_000}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("trained"), workers=2) as server:
        yield server


def events(client: httpx.Client, job_id: str) -> Iterator[dict[str, Any]]:
    with client.stream("GET", f"/jobs/{job_id}:watch") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def until(client: httpx.Client, job_id: str, state: str, stage: str = "") -> dict[str, Any]:
    """The first state of a job that is the one wanted, as the watch tells it."""
    for job in events(client, job_id):
        if job["state"] == state and (not stage or job.get("progress", {}).get("stage") == stage):
            return job
    raise AssertionError(f"{job_id} ended, and never was {state} {stage}: {job}")


def start(client: httpx.Client, server: Server, **fields: Any) -> str:
    return str(client.post("/jobs", json=server.request(**fields)).raise_for_status().json()["job_id"])


def pid_of(server: Server, job_id: str) -> int:
    """The process of a job, the newest if a server before had one: the log goes on."""
    return [int(line["pid"]) for line in server.logged() if line.get("job_id") == job_id and "pid" in line][-1]


def check_model(server: Server, answer: dict[str, Any]) -> None:
    """Every returned sample, and a recording of one's own, can be predicted at once."""
    assert answer["test_samples"]
    with server.client() as client:
        for name in answer["test_samples"]:
            body = {
                "model_save_path": str(server.models), "model_id": answer["model_id"], "sample_name": name,
            }  # fmt: skip
            said = client.post("/predict", json=body).raise_for_status().json()
            assert set(said["probabilities"]) == set(answer["classes"])
        own = client.post("/predict", files={"audio": wav(tone(3.0))}, data={"model_id": answer["model_id"]})
        assert own.json()["prediction"] in answer["classes"]


def test_train_over_http_as_people_write_it(trained: Server) -> None:
    body = trained.request(
        model_config={"epochs": 2.0, "batch_size": 16}, dataset_load_split_at=16_000.0, random_state=7.0,
        dataset_load_normalize=False, dataset_feature_extract_methods={"MFCC": {"num_cepstral": 10}},
    )  # fmt: skip
    with trained.client() as client:
        answer = client.post("/train", json=body).raise_for_status().json()
        manifest = client.get(f"/models/{answer['model_id']}").json()["manifest"]
    assert manifest["random_state"] == 7
    assert manifest["features"]["dataset_load_split_at"] == 16_000
    assert manifest["features"]["dataset_load_normalize"] is False
    assert manifest["hyperparameters"]["epochs"] == 2
    assert manifest["features"]["dataset_feature_extract_methods"]["MFCC"]["num_cepstral"] == 10
    assert 0 <= answer["metrics"]["uar"] <= 1
    assert (trained.models / answer["model_id"] / "manifest.json").is_file()
    check_model(trained, answer)


def test_train_over_grpc(trained: Server) -> None:
    request = json_format.ParseDict(trained.request(model_type="KerasDropoutClassifier"), ser_pb2.TrainRequest())
    with trained.stub() as stub:
        reply = stub.Train(request)
    check_model(trained, json_format.MessageToDict(reply, preserving_proto_field_name=True))


def test_a_job_is_watched_from_the_queue_to_its_end(trained: Server) -> None:
    with trained.client() as client:
        job_id = start(client, trained, model_config={"epochs": 30}, random_state=1)
        told = list(events(client, job_id))
        assert client.get(f"/jobs/{job_id}").json() == told[-1]
        assert client.get("/jobs", params={"page_size": 1}).json()["jobs"][0]["job_id"] == job_id
    with trained.stub() as stub:
        *_, last = stub.WatchTrainingJob(ser_pb2.WatchTrainingJobRequest(job_id=job_id))
    assert last.state == ser_pb2.TrainingJob.SUCCEEDED
    assert told[-1]["state"] == "SUCCEEDED"
    assert told[-1]["result"]["model_id"] == last.result.model_id
    percents = [job["progress"]["percent"] for job in told if job.get("progress")]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    epochs = [job["progress"] for job in told if job.get("progress", {}).get("stage") == "train"]
    assert epochs[-1]["epoch"] == epochs[-1]["epochs"] == 30
    assert epochs[-1]["loss"] > 0
    assert 0 <= epochs[-1]["accuracy"] <= 1
    assert epochs[-1]["seconds_left"] == 0


def test_cancel_a_job_that_runs_and_one_that_waits(trained: Server) -> None:
    with trained.client() as client:
        running = start(client, trained, model_config=LONG)
        waiting = start(client, trained, model_config=LONG, random_state=3)
        until(client, running, "RUNNING", "train")
        assert client.get(f"/jobs/{waiting}").json()["ahead"] == 1
        assert client.post(f"/jobs/{waiting}:cancel").json()["state"] == "CANCELLED"
        process = pid_of(trained, running)  # it gives way to serving
        assert os.getpriority(os.PRIO_PROCESS, process) == 19
        assert os.sched_getscheduler(process) == os.SCHED_BATCH
        client.post(f"/jobs/{running}:cancel").raise_for_status()
        assert until(client, running, "CANCELLED")["ended"]
        wait_gone(process)
        # One that is over stays as it is.
        assert client.post(f"/jobs/{running}:cancel").json()["state"] == "CANCELLED"
    assert not [path for path in trained.models.iterdir() if ".partial-" in path.name]


def test_a_killed_training_is_failed_with_the_reason_and_the_next_one_runs(trained: Server) -> None:
    with trained.client() as client:
        job_id = start(client, trained, model_config=LONG, random_state=4)
        until(client, job_id, "RUNNING", "train")
        os.kill(pid_of(trained, job_id), signal.SIGKILL)
        failed = until(client, job_id, "FAILED")
        assert "SIGKILL" in failed["error"]["message"]
        assert client.post("/train", json=trained.request(random_state=5)).status_code == 200


def test_a_caller_that_hangs_up_cancels_its_job_unless_it_detached(trained: Server) -> None:
    with trained.client() as client, trained.stub() as stub:
        for detach in (False, True):
            request = trained.request(model_config=LONG, random_state=6, detach=detach)
            call = stub.Train.future(json_format.ParseDict(request, ser_pb2.TrainRequest()))
            job_id = newest_running(client)
            call.cancel()
            if detach:
                until(client, job_id, "RUNNING", "train")
                client.post(f"/jobs/{job_id}:cancel")
            until(client, job_id, "CANCELLED")
        caller = http.client.HTTPConnection(trained.http.removeprefix("http://"))
        body = json.dumps(trained.request(model_config=LONG, random_state=8))
        caller.request("POST", "/train", body, {"content-type": "application/json"})
        job_id = newest_running(client)
        until(client, job_id, "RUNNING", "train")
        caller.close()
        until(client, job_id, "CANCELLED")


def newest_running(client: httpx.Client) -> str:
    for _ in tries():
        jobs = client.get("/jobs", params={"page_size": 1}).json()["jobs"]
        if jobs and jobs[0]["state"] in ("QUEUED", "RUNNING"):
            return str(jobs[0]["job_id"])
    raise AssertionError


def test_a_source_that_does_not_serve_says_which(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    shutil.make_archive(str(tmp_path / "empty"), "zip", tmp_path, "text.zip")
    with files_of(tmp_path) as url, serve(tmp_path / "server", allowed_hosts="127.0.0.1") as server:
        for name, says in (("text.zip", "zip"), ("empty.zip", "audio"), ("none.zip", "404")):
            with server.client() as client, server.stub() as stub:
                answer = client.post("/train", json=server.request(remote_url=f"{url}/{name}"))
                assert answer.status_code == 400, answer.text
                assert answer.json()["code"] == grpc.StatusCode.FAILED_PRECONDITION.value[0]
                assert says in answer.json()["message"]
                job = client.get("/jobs").json()["jobs"][0]
                assert job["error"]["message"] == answer.json()["message"]
                with pytest.raises(grpc.RpcError) as failed:
                    stub.Train(
                        json_format.ParseDict(server.request(remote_url=f"{url}/{name}"), ser_pb2.TrainRequest())
                    )
                assert failed.value.details() == answer.json()["message"]  # type: ignore[attr-defined]


def test_what_a_server_may_fetch_counts_inside_a_corpora_file(tmp_path: Path) -> None:
    synthesise_corpus(tmp_path / "good.zip", clips=14)
    with files_of(tmp_path) as url, serve(tmp_path / "server", allowed_hosts="127.0.0.1") as server:
        for number, inside in enumerate(("good.zip", "http://localhost:9/x.zip", "file:///etc/passwd", "/etc/passwd")):
            entries = [{"name": "a", "url": "good.zip"}, {"name": "b", "url": inside}]
            (tmp_path / f"{number}.yaml").write_text(json.dumps({"corpora": entries}))
            with server.client() as client:
                answer = client.post("/train", json=server.request(remote_url=f"{url}/{number}.yaml"))
            # A path in a file of another host is a path of that host.
            expected = {"good.zip": 200, "/etc/passwd": 400}.get(inside, 403)
            assert answer.status_code == expected, answer.text


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    with serve(tmp_path, max_queued_jobs=1) as server, server.client() as client:
        first = start(client, server, model_config=LONG)
        until(client, first, "RUNNING")
        second = start(client, server, model_config=LONG)
        refused = client.post("/jobs", json=server.request())
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        for job_id in (second, first):
            client.post(f"/jobs/{job_id}:cancel")
        until(client, first, "CANCELLED")


def test_a_restart_knows_the_jobs(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.client() as client:
        running = start(client, server, model_config=LONG)
        waiting = start(client, server)
        until(client, running, "RUNNING", "train")
        child = pid_of(server, running)
        assert server.stop() == 0
        assert not Path(f"/proc/{child}").exists()
    with serve(tmp_path) as server, server.client() as client:
        # What ran goes on, from the start; what waited waits.
        until(client, running, "RUNNING", "train")
        assert client.get(f"/jobs/{waiting}").json()["state"] == "QUEUED"
        workers = [line["process"] for line in server.logged() if line.get("message") == "call"]
        server.process.kill()
        server.process.wait()
        orphan = pid_of(server, running)
        assert orphan != child
    for pid in (orphan, *workers):
        wait_gone(pid)
    with serve(tmp_path) as server, server.client() as client:
        failed = client.get(f"/jobs/{running}").json()
        assert failed["state"] == "FAILED"
        assert "died" in failed["error"]["message"]
        assert until(client, waiting, "SUCCEEDED")["result"]["model_id"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        pass


class files_of:  # noqa: N801 - a context manager
    """Serves a folder over HTTP on loopback."""

    def __init__(self, folder: Path) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_emodb_end_to_end(emodb_zip: Path, tmp_path: Path) -> None:
    with files_of(emodb_zip.parent) as url, serve(tmp_path, workers=2, allowed_hosts="127.0.0.1") as server:
        body = server.request(
            remote_url=f"{url}/{emodb_zip.name}", model_type="KerasDropoutClassifier", model_config={"epochs": 30}
        )
        with server.client() as client:
            answer = client.post("/train", json=body).raise_for_status().json()
        assert len(answer["test_samples"]) == 54
        assert answer["metrics"]["uar"] > 2 * answer["metrics"]["chance"]
        check_model(server, answer)
        with server.stub() as stub:
            again = stub.Train(json_format.ParseDict(body, ser_pb2.TrainRequest()))
        assert again.model_id == answer["model_id"]
        with server.stub() as stub:
            sample = ser_pb2.PredictRequest(model_id=answer["model_id"], sample_name=answer["test_samples"][0])
            assert stub.Predict(sample).ground_truth

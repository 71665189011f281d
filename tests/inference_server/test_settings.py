"""Every setting of the server: where a value that is not the default is seen to do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inference_server.settings import Settings
from tests.inference_server.harness import serve

HERE = Path(__file__).parent
SEEN: dict[str, str] = {
    "host": "test_security.py::test_a_public_address_is_taken_where_it_is_allowed",
    "http_port": "test_security.py::test_a_port_that_is_taken_ends_in_one_line",
    "grpc_port": "test_security.py::test_a_port_that_is_taken_ends_in_one_line",
    "workers": "test_workers.py::test_each_worker_is_killed_twenty_times_under_load",
    "worker_silence_seconds": "test_workers.py::test_a_worker_that_hangs_is_replaced",
    "data_root": "test_shown.py::test_a_job_shows_neither_a_password_nor_a_root",
    "model_root": "test_shown.py::test_a_job_shows_neither_a_password_nor_a_root",
    "state_root": "jobs/test_trouble.py::test_a_full_disk_ends_nothing_and_says_why",
    "refresh_seconds": "test_object_store.py",
    "allowed_schemes": "test_security.py",
    "allowed_hosts": "test_training.py::test_a_source_that_does_not_serve_says_which",
    "served_names": "gateway/test_origins.py",
    "token_file": "test_security.py::test_tokens",
    "tls_cert": "test_security.py",
    "tls_key": "test_security.py",
    "tls_client_ca": "test_security.py",
    "allow_insecure": "test_security.py::test_a_public_address_is_taken_where_it_is_allowed",
    "max_message_bytes": "test_streaming.py::test_a_message_on_a_websocket_is_bounded_as_any_other",
    "max_audio_seconds": "test_limits.py::test_too_large",
    "max_call_audio_seconds": "test_holding_up.py",
    "max_bytes_in_flight": "test_holding_up.py::test_bytes_on_their_way_are_bounded_and_the_first_of_them_give_way",
    "max_clips": "test_limits.py::test_too_large",
    "max_calls": "test_limits.py::test_calls_that_have_come_are_counted_and_bodies_on_their_way_are_not",
    "max_streams": "test_limits.py::test_too_many_streams_and_calls",
    "max_calls_per_caller": "test_admission.py",
    "max_streams_per_caller": "test_admission.py",
    "max_connections": "test_limits.py::test_many_connections_at_once_are_bounded_and_the_server_goes_on",
    "max_connections_per_caller": "test_http_server.py::test_one_address_cannot_have_all_connections",
    "max_body_seconds": "test_limits.py::test_a_body_that_dawdles_and_a_head_that_does_not_come_are_ended",
    "max_call_seconds": "test_holding_up.py",
    "max_queued_jobs": "test_training.py",
    "max_training_seconds": "jobs/test_runner.py",
    "job_retention_days": "jobs/test_children.py::test_jobs_that_ended_long_ago_are_deleted",
    "training_slots": "jobs/test_runner.py",
    "training_backend": "test_backends.py",
    "kubeflow_host": "test_backends.py",
    "kubeflow_namespace": "jobs/test_kubeflow.py",
    "kubeflow_experiment": "jobs/test_kubeflow.py",
    "kubeflow_pipeline": "jobs/test_kubeflow.py",
    "kubeflow_poll_seconds": "test_backends.py",
    "minimum_uar": "test_backends.py",
    "max_download_bytes": "test_hostile.py",
    "max_unpacked_bytes": "test_hostile.py",
    "max_corpus_files": "test_hostile.py",
    "max_loaded_models": "test_holding_up.py::test_models_in_memory_are_bounded",
    "grace_seconds": "test_way_down.py::test_calls_have_the_whole_time_of_grace_to_end",
    "log_level": "test_settings.py::test_the_log_has_what_its_level_says",
    "log_format": "test_settings.py::test_the_log_is_lines_of_json_or_of_text",
}


def test_every_setting_is_seen_to_do_something() -> None:
    """Whoever adds one adds the test here that shows what it does."""
    assert SEEN.keys() == Settings.model_fields.keys()
    for field, place in SEEN.items():
        file, _, name = place.partition("::")
        text = (HERE / file).read_text(encoding="utf-8")
        # By the server's own fixture too, which has its limits in `conftest.py`.
        fixtures = (HERE.parent / "conftest.py").read_text(encoding="utf-8") + (HERE / "harness.py").read_text()
        assert re.search(rf"\b{field}\b", text + fixtures), f"{place} does not mention {field}"
        assert not name or f"def {name}(" in text, f"there is no {place}"


def test_help_lists_every_setting_with_what_it_is_by_default() -> None:
    command = [sys.executable, "-m", "inference_server", "--help"]
    environment = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    told = {
        found[1]: found[2]
        for found in re.finditer(r"^  --([a-z-]+)(?:,| )(.*(?:\n {10,}.*)*)", done.stdout, re.MULTILINE)
    }
    for field, info in Settings.model_fields.items():
        text = told[field.replace("_", "-")]
        assert info.description is not None
        assert " ".join(info.description.split()) in " ".join(text.split()), field
        if info.default_factory is None:
            default = "null" if info.default is None else str(info.default)
            assert f"default: {default})" in text, (field, text)
    assert "SER_HTTP_PORT" in done.stdout


@pytest.mark.parametrize(("level", "calls"), [("info", True), ("warning", False)])
def test_the_log_has_what_its_level_says(level: str, calls: bool, tmp_path: Path) -> None:
    with serve(tmp_path, log_level=level) as server, server.client() as client:
        assert client.get("/models").status_code == 200
        assert server.stop() == 0
    levels = {line["level"] for line in server.logged()}
    assert any(line["message"] == "call" for line in server.logged()) is calls
    assert ("info" in {one.lower() for one in levels}) is calls


def test_the_log_is_lines_of_json_or_of_text(tmp_path: Path) -> None:
    with serve(tmp_path, log_format="text") as server, server.client() as client:
        assert client.get("/models", headers={"x-request-id": "my-own"}).status_code == 200
        assert server.stop() == 0
    lines = server.log.read_text(encoding="utf-8").splitlines()
    assert any("my-own" in line and "ListModels" in line for line in lines)
    for line in lines:
        with pytest.raises(json.JSONDecodeError):
            json.loads(line)

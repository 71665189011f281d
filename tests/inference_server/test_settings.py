"""Every setting of the server: where a value that is not the default is seen to do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from ser_inference_server.settings import Settings
from tests.inference_server.harness import serve
from tests.named_tests import functions

HERE = Path(__file__).parent
SEEN: dict[str, str] = {
    "host": "test_security.py::test_a_public_address_is_taken_where_it_is_allowed",
    "http_port": "test_security.py::test_a_port_that_is_taken_ends_in_one_line",
    "grpc_port": "test_security.py::test_a_port_that_is_taken_ends_in_one_line",
    "workers": "test_workers.py::test_each_worker_is_killed_twenty_times_under_load",
    "worker_silence_seconds": "test_workers.py::test_a_worker_that_hangs_is_replaced",
    "data_root": "test_object_store.py::test_a_training_ends_in_the_store",
    "model_root": "test_object_store.py::test_a_training_ends_in_the_store",
    "state_root": "jobs/test_trouble.py::test_a_full_disk_ends_nothing_and_says_why",
    "refresh_seconds": "test_enrolment.py::test_an_object_store_has_the_speakers_too",
    "allowed_schemes": "test_settings.py::test_only_the_schemes_that_are_set_are_fetched_from",
    "allowed_hosts": "test_training.py::test_a_source_that_does_not_serve_says_which",
    "served_names": "gateway/test_origins.py::test_a_page_that_was_made_to_lead_here_can_do_nothing",
    "token_file": "test_security.py::test_tokens",
    "tls_cert": "test_security.py::test_tls_and_mutual_tls",
    "tls_key": "test_security.py::test_tls_and_mutual_tls",
    "tls_client_ca": "test_security.py::test_tls_and_mutual_tls",
    "allow_insecure": "test_security.py::test_a_public_address_is_taken_where_it_is_allowed",
    "max_message_bytes": "test_streaming.py::test_a_message_on_a_websocket_is_bounded_as_any_other",
    "max_audio_seconds": "test_limits.py::test_too_large",
    "max_call_audio_seconds": "test_holding_up.py::test_the_sound_of_a_call_is_bounded_whatever_is_in_each_clip",
    "max_bytes_in_flight": "test_holding_up.py::test_bytes_on_their_way_are_bounded_and_the_first_of_them_give_way",
    "max_clips": "test_limits.py::test_too_large",
    "max_calls": "test_limits.py::test_calls_that_have_come_are_counted_and_bodies_on_their_way_are_not",
    "max_streams": "test_limits.py::test_too_many_streams_and_calls",
    "max_calls_per_caller": "test_admission.py::test_a_place_comes_back_whatever_happened",
    "max_streams_per_caller": "test_admission.py::test_each_token_has_its_own_places",
    "max_connections": "test_limits.py::test_many_connections_at_once_are_bounded_and_the_server_goes_on",
    "max_connections_per_caller": "test_http_server.py::test_one_address_cannot_have_all_connections",
    "max_body_seconds": "test_limits.py::test_a_body_that_dawdles_and_a_head_that_does_not_come_are_ended",
    "max_call_seconds": "test_holding_up.py::test_a_call_ends_at_the_deadline_of_the_setting_whatever_it_waits_for",
    "max_queued_jobs": "test_training.py::test_the_queue_is_bounded",
    "max_training_seconds": "jobs/test_runner.py::test_a_training_that_takes_too_long_names_the_setting",
    "job_retention_days": "jobs/test_children.py::test_jobs_that_ended_long_ago_are_deleted",
    "training_slots": "jobs/test_runner.py::test_as_many_run_at_once_as_there_are_slots_the_oldest_first",
    "training_backend": "test_backends.py::test_a_model_below_the_minimum_is_not_saved",
    "kubeflow_host": "test_backends.py::test_a_host_that_is_not_there_is_unavailable",
    "kubeflow_namespace": "jobs/test_kubeflow.py::test_a_host_of_many_users_is_told_the_namespace",
    "kubeflow_experiment": "jobs/test_kubeflow.py::test_the_run_has_every_field_of_the_request_and_the_job_s_name",
    "kubeflow_pipeline": "jobs/test_kubeflow.py::test_the_pipeline_may_be_another_set_up_for_the_cluster",
    "kubeflow_poll_seconds": "jobs/test_kubeflow.py::test_a_run_is_looked_at_as_often_as_it_was_set",
    "minimum_uar": "test_backends.py::test_a_model_below_the_minimum_is_not_saved",
    "max_download_bytes": "test_hostile.py::test_zips_made_to_hurt",
    "max_unpacked_bytes": "test_hostile.py::test_zips_made_to_hurt",
    "max_corpus_files": "test_hostile.py::test_zips_made_to_hurt",
    "max_loaded_models": "test_holding_up.py::test_models_in_memory_are_bounded",
    "grace_seconds": "test_way_down.py::test_calls_have_the_whole_time_of_grace_to_end",
    "log_level": "test_settings.py::test_the_log_has_what_its_level_says",
    "log_format": "test_settings.py::test_the_log_is_lines_of_json_or_of_text",
}


def test_every_setting_is_seen_to_do_something() -> None:
    """Whoever adds one names here the test that shows what it does, which sets it itself or by a fixture."""
    assert SEEN.keys() == Settings.model_fields.keys()
    for field, place in SEEN.items():
        file, _, name = place.partition("::")
        known = {**functions(HERE.parent / "conftest.py"), **functions(HERE / file)}
        assert name in known, f"there is no {place}"
        asked = [argument for argument in re.findall(r"\w+", known[name]) if argument in known]
        assert any(re.search(rf"\b{field}\b", known[one]) for one in asked), f"{place} does not set {field}"


AT_LEAST_ONE: tuple[list[float], list[float]] = ([1], [0])
MORE_THAN_NOTHING: tuple[list[float], list[float]] = ([1e-9], [0, -1])
BOUNDS: dict[str, tuple[list[float], list[float]]] = {
    **{f"{name}_port": ([0, 65_535], [-1, 65_536]) for name in ("http", "grpc")},
    "workers": ([1, 256], [0, 257]),
    "worker_silence_seconds": ([1], [0.99]),
    **dict.fromkeys(("max_message_bytes", "max_bytes_in_flight"), ([1_024.0], [1_023.0])),
    **dict.fromkeys(("max_queued_jobs", "training_slots"), ([0.0], [-1.0])),
    "minimum_uar": ([0, 1], [-0.01, 1.01]),
    **dict.fromkeys(
        ("max_clips", "max_calls", "max_streams", "max_calls_per_caller", "max_streams_per_caller", "max_connections",
         "max_connections_per_caller", "max_download_bytes", "max_unpacked_bytes", "max_corpus_files",
         "max_loaded_models"),
        AT_LEAST_ONE,
    ),
    **dict.fromkeys(
        ("refresh_seconds", "max_audio_seconds", "max_call_audio_seconds", "max_body_seconds", "max_call_seconds",
         "max_training_seconds", "job_retention_days", "kubeflow_poll_seconds", "grace_seconds"),
        MORE_THAN_NOTHING,
    ),
}  # fmt: skip
"""Of each setting that is a number: the least and the greatest that are taken, and their neighbours, which are not."""


def test_every_number_has_bounds() -> None:
    described = Settings.model_json_schema()["properties"]
    numbers = {
        name
        for name, field in described.items()
        if {one.get("type") for one in (field, *field.get("anyOf", []))} & {"integer", "number"}
    }
    assert numbers == BOUNDS.keys()


@pytest.mark.parametrize("field", BOUNDS)
def test_a_number_is_taken_within_its_bounds_and_refused_beyond_them(field: str) -> None:
    taken, refused = BOUNDS[field]
    fits = {"max_message_bytes": 1_024}  # to which one of the others is compared
    for value in taken:
        assert getattr(Settings.model_validate({**fits, field: value}), field) == value
    for value in refused:
        with pytest.raises(pydantic.ValidationError) as caught:
            Settings.model_validate({**fits, field: value})
        assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_only_the_schemes_that_are_set_are_fetched_from(tmp_path: Path) -> None:
    with serve(tmp_path, allowed_schemes="embedded", training_slots=0) as server, server.client() as client:
        assert client.post("/jobs", json=server.request()).status_code == 200
        refused = client.post("/jobs", json=server.request(remote_url="https://corpora.example/a.zip"))
        assert refused.status_code == 403
        assert "https: is not allowed here; allowed: embedded" in refused.json()["message"]


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

"""The pipeline's steps in their containers, with what can go wrong with a container."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from kfp import dsl, local

from ser.bundles.bundle import Bundle
from ser.config import parse
from ser.dataset import Dataset
from ser.errors import TrainingError
from ser.request import TrainRequest
from ser.storage.stamps import STAMP
from ser_components.images import image
from ser_pipelines.containers import container_runner, find_image
from ser_pipelines.local import Runner, run_locally

pytestmark = pytest.mark.timeout(1_800)


def request(folder: Path, **changes: object) -> TrainRequest:
    body = {
        "remote_url": "embedded:?clips=30",
        "data_path": str(folder / "data"),
        "model_save_path": str(folder / "models"),
        "model_type": "KerasClassifier",
        "model_config": {"epochs": 2},
        **changes,
    }
    return parse(TrainRequest, body)


@pytest.mark.usefixtures("engine")
def test_containers_give_what_subprocesses_give(tmp_path: Path, corpus_zip: Path) -> None:
    found = {}
    for runner in Runner:
        folder = tmp_path / runner
        found[runner] = run_locally(request(folder, remote_url=str(corpus_zip)), folder / "runs", runner)
    here, contained = found[Runner.SUBPROCESS], found[Runner.DOCKER]
    assert contained.model_id == here.model_id
    assert contained.metrics == here.metrics
    assert contained.model
    assert here.model
    assert (
        Bundle(Path(contained.model)).manifest.validation_samples
        == Bundle(Path(here.model)).manifest.validation_samples
    )
    assert (Path(contained.model) / "report" / "report.html").is_file()


@pytest.mark.usefixtures("engine")
def test_the_gate_holds_in_a_container(tmp_path: Path) -> None:
    result = run_locally(request(tmp_path), tmp_path / "runs", Runner.DOCKER, minimum_uar=1.0)
    assert result.model is None
    assert result.report.is_file()
    assert not list((tmp_path / "models").glob("[!.]*"))
    assert "saved nothing: UAR" in result.log.read_text()


@pytest.mark.usefixtures("engine")
def test_a_step_s_own_error_is_the_run_s(tmp_path: Path, make_zip: Callable[[dict[str, bytes]], Path]) -> None:
    nothing = make_zip({"readme.txt": b"no sound"})
    with pytest.raises(TrainingError, match="no corpus|audio"):
        run_locally(request(tmp_path, remote_url=str(nothing)), tmp_path / "runs", Runner.DOCKER)


@dsl.component(base_image=image("download"), install_kfp_package=False)
def exits(status: int) -> str:
    import os

    os._exit(status)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("status", [1, 2, 137])
def test_a_step_that_exits_fails_the_run(tmp_path: Path, status: int) -> None:
    # KFP 2.17's own runner calls this a success.
    with container_runner([tmp_path]) as runner:
        local.init(runner, pipeline_root=str(tmp_path / "runs"))
        with pytest.raises(RuntimeError, match="FAILURE"):
            exits(status=status)


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_missing_says_how_to_build_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.component(base_image="ser-nothing:0", install_kfp_package=False)
    def missing() -> str:
        return ""

    with container_runner([tmp_path]) as runner:
        local.init(runner, pipeline_root=str(tmp_path / "runs"))
        with pytest.raises(RuntimeError, match="FAILURE"):
            missing()
    assert "no image ser-nothing:0 here; build it: make images" in capsys.readouterr().out


STEP = """
import sys
from pathlib import Path
from ser.config import parse
from ser.request import FeatureConfig, TrainingConfig
from ser.steps.feature_extraction import extract_features
from ser.steps.training import train

print("begins", flush=True)
told = lambda progress: print(progress.stage, progress.done, flush=True)
features, model = Path(sys.argv[2]), Path(sys.argv[3])
extract_features(Path(sys.argv[1]), features, parse(FeatureConfig, {}), report=told)
config = parse(TrainingConfig, {"model_type": "KerasClassifier", "model_config": {"epochs": 3}})
train(features, model, config, report=told)
print("ends", flush=True)
"""


def test_a_step_killed_anywhere_and_retried_leaves_one_whole_result(
    engine: docker.DockerClient, dataset: Dataset, tmp_path: Path
) -> None:
    corpus_folder = dataset.extract()

    def start() -> docker.models.containers.Container:
        return engine.containers.run(
            find_image(engine, image("training")),
            ["python", "-c", STEP, str(corpus_folder), str(tmp_path / "features"), str(tmp_path / "model")],
            detach=True,
            user=f"{os.getuid()}:{os.getgid()}",
            read_only=True,
            tmpfs={"/tmp": "mode=1777"},
            volumes={
                str(tmp_path): {"bind": str(tmp_path), "mode": "rw"},
                str(corpus_folder): {"bind": str(corpus_folder), "mode": "ro"},
            },
        )

    # Points are counted in lines of the log: at the start, within the features, between epochs.
    chance = random.Random(0)
    for lines in [1, *sorted(chance.randrange(2, 12) for _ in range(3))]:
        container = start()
        try:
            seen = b""
            for part in container.logs(stream=True, follow=True):
                seen += part
                if seen.count(b"\n") >= lines:
                    container.kill()
                    break
            container.wait()
        finally:
            container.remove(force=True)
    container = start()
    try:
        assert container.wait()["StatusCode"] == 0, container.logs().decode()
    finally:
        container.remove(force=True)
    assert Bundle(tmp_path / "model").manifest.history["loss"][2] > 0
    assert (tmp_path / "features" / STAMP).is_file()
    whole = {"features", "model"}
    assert {path.name for path in tmp_path.iterdir()} == whole | {f".{name}.lock" for name in whole}

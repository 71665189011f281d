"""The package, built and installed: which names it takes, and that it works away from a clone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ser_pipelines.compiling import compare
from tests.packaging.environments import ROOT, Environment, build_wheel, distributions_of, environment_with

FOLDERS = {
    "ser": "ser",
    "ser_api": "ser_api",
    "ser_client": "ser_client",
    "ser_components": "components",
    "ser_inference_server": "inference_server",
    "ser_pipelines": "pipelines",
}
"""What the package takes for itself of all the names in an environment, and where each lies in a clone."""
DATA = {"binpb", "html", "jinja", "yaml"}
RECORDING = "clip of mine.wav"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment_with(wheel, tmp_path_factory.mktemp("full") / "an environment")


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the extra `inference` alone."""
    return environment_with(wheel, tmp_path_factory.mktemp("light") / "environment", distributions_of("inference"))


@pytest.fixture(scope="module")
def elsewhere(full: Environment, corpus_zip: Path, recording: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's, with a model that the installed package has trained."""
    folder = tmp_path_factory.mktemp("some where")
    (folder / RECORDING).write_bytes(recording)
    ended = full.run(
        *("ser", "train", "--json", "--remote-url", str(corpus_zip)),
        *("--model-type", "KerasClassifier", "--model-config", '{"epochs": 2}'),
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["model_id"].startswith("KerasClassifier-")
    return folder


def test_the_wheel_has_every_file_and_takes_no_name_without_the_prefix(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name) for name in archive.namelist()}
    tops = {path.parts[0] for path in packed}
    assert {top for top in tops if not top.endswith(".dist-info")} == FOLDERS.keys()
    in_clone = {
        Path(name) / path.relative_to(ROOT / folder)
        for name, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" or path.suffix.removeprefix(".") in DATA
    }
    assert {path for path in packed if path.suffix == ".py" or path.suffix.removeprefix(".") in DATA} == in_clone


def test_the_installed_package_predicts(full: Environment, light: Environment, elsewhere: Path) -> None:
    answers = [environment.run("ser", "predict", "--json", RECORDING, cwd=elsewhere) for environment in (full, light)]
    for ended in answers:
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["predictions"][0]["sample_name"] == RECORDING
    assert answers[0].stdout == answers[1].stdout


def test_the_installed_package_compiles_the_pipelines_of_the_clone(full: Environment, elsewhere: Path) -> None:
    ended = full.run("ser", "pipeline", "compile", cwd=elsewhere)
    assert ended.returncode == 0, ended.stderr
    compare(elsewhere / "compiled")
    assert full.run("ser", "pipeline", "compile", "--check", cwd=elsewhere).returncode == 0


def test_a_pipeline_runs_by_an_interpreter_in_a_folder_whose_name_has_a_space(
    full: Environment, elsewhere: Path, corpus_zip: Path
) -> None:
    assert " " in str(full.folder)
    flags = ("--remote-url", str(corpus_zip), "--model-type", "KerasClassifier", "--model-config", '{"epochs": 1}')
    ended = full.run("ser", "pipeline", "run", "--json", *flags, cwd=elsewhere)
    assert ended.returncode == 0, ended.stderr
    assert Path(json.loads(ended.stdout)["report"]).name == "report.html"


@pytest.mark.parametrize("program", ["ser-server", "ser-trainer"])
def test_the_installed_programs_say_their_settings(full: Environment, elsewhere: Path, program: str) -> None:
    ended = full.run(program, "--help", cwd=elsewhere)
    assert ended.returncode == 0, ended.stderr
    assert "--http-port" in ended.stdout.replace("_", "-")


def test_what_is_installed_is_found_under_one_name(full: Environment, elsewhere: Path) -> None:
    names = sorted(FOLDERS)
    code = f"import {', '.join(names)}; print(*sorted({{m.__file__ for m in ({', '.join(names)},)}}), sep='\\n')"
    files = full.run("python", "-c", code, cwd=elsewhere).stdout.splitlines()
    assert files == [str(full.packages / name / "__init__.py") for name in names]
    for folder in ("components", "pipelines", "inference_server"):
        assert "ModuleNotFoundError" in full.run("python", "-c", f"import {folder}", cwd=elsewhere).stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("ser train", "training"),
        ("ser evaluate", "evaluation"),
        ("ser evaluate --protocol loso", "training"),
        ("ser predict --server localhost:1 a.wav", "client"),
        ("ser pipeline run", "pipelines,training"),
        ("ser pipeline run --runner docker", "pipelines"),
        ("ser pipeline cross-validate", "pipelines,training"),
        ("ser pipeline compile build", "pipelines"),
        ("ser pipeline compile --check", "pipelines"),
        ("ser pipeline submit --host http://localhost:1", "pipelines"),
        ("ser models --model-save-path s3://bucket/models", "s3"),
        ("ser-server", "server"),
        ("ser-server --help", "server"),
        ("ser-trainer", "trainer"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    light: Environment, elsewhere: Path, command: str, extra: str
) -> None:
    before = set(elsewhere.iterdir())
    ended = light.run(*command.split(), cwd=elsewhere)
    assert ended.returncode == 4
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{command.split()[0]}: ")
    assert line.endswith(f"pip install 'speech-emotion[{extra}]'")
    assert not ended.stdout
    assert set(elsewhere.iterdir()) == before


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import ser_client", "client"),
        ("import ser; ser.to_data_frame([])", "pandas"),
        ("import ser; ser.Trainer('KerasClassifier').train('features', 'models')", "training"),
        ("import ser; ser.Dataset('data', 'embedded:').feature_extract()", "features"),
        ("import ser; r = {'data_path': 'd', 'remote_url': 'embedded:', 'model_save_path': 'm', 'model_type': "
         "'KerasClassifier'};"
         "ser.run(ser.TrainRequest(**r))", "training"),
    ],
)  # fmt: skip
def test_the_library_names_a_missing_extra(light: Environment, tmp_path: Path, code: str, extra: str) -> None:
    ended = light.run("python", "-c", f"try:\n    {code}\nexcept ImportError as error:\n    print(error)", cwd=tmp_path)
    assert ended.stdout.endswith(f"pip install 'speech-emotion[{extra}]'\n"), ended.stderr
    assert not list(tmp_path.iterdir())


def test_without_any_extra_predicting_names_its_own(wheel: Path, elsewhere: Path, tmp_path: Path) -> None:
    bare = environment_with(wheel, tmp_path / "environment", distributions_of())
    ended = bare.run("ser", "predict", RECORDING, cwd=elsewhere)
    assert ended.stderr == (
        "ser: predicting needs what is not installed here, ai_edge_litert, scipy; "
        "install it with: pip install 'speech-emotion[inference]'\n"
    )


def test_a_clone_in_the_current_folder_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "ser").symlink_to(ROOT)
    code = "import ser; print(ser.__file__, ser.Predictor.__module__)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == f"{ROOT / 'ser' / '__init__.py'} ser.predictor\n"


def test_python_m_inference_server_loads_the_server_once() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['inference_server', '--help']\n"
        "try:\n    runpy.run_module('inference_server', run_name='__main__', alter_sys=True)\n"
        "except SystemExit: pass\n"
        "print(*(m for m in sys.modules if m.partition('.')[0] in ('components', 'pipelines', 'inference_server')))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--http-port" in ended.stdout.replace("_", "-")
    assert ended.stdout.splitlines()[-1] == "inference_server"

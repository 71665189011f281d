"""Every flag of the commands that ask a model or a corpus: where it is seen to do what it says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ser.bundles.bundle import Bundle
from ser.cli.main import app
from ser.errors import Code, SerError
from tests.inference_server.harness import Server, serve
from tests.inference_server.test_security import certificate
from tests.named_tests import functions
from tests.signals import tone, wav

TESTS = Path(__file__).parents[2]
ENCODER = "ser/cli/test_encoder.py"
HERE, CLI, CLIENT = "ser/cli/test_asking_flags.py", "ser/cli/test_cli.py", "ser_client/test_client.py"
SPEAKERS, INSPECTION = "ser/cli/test_speakers.py", "ser/corpora/test_inspection.py"
ASKING = {
    "--model-save-path": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
    "--server": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
    "--model-id": f"{HERE}::test_a_model_is_asked_by_its_name",
    "--token-file": f"{HERE}::test_a_server_is_shown_the_token_of_the_file_and_trusted_by_the_authority",
    "--tls-ca": f"{HERE}::test_a_server_is_shown_the_token_of_the_file_and_trusted_by_the_authority",
    "--json": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
}
SEEN: dict[str, dict[str, str]] = {
    "predict": ASKING
    | {
        "--sample-name": f"{CLI}::test_a_validation_sample_is_predicted_by_name",
        "--speaker": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
        "--enrollment-clips": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
        "--adapt": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server",
        "--gender": f"{HERE}::test_what_is_said_of_the_speaker_is_known_to_the_model",
        "--text": f"{HERE}::test_what_is_said_of_the_speaker_is_known_to_the_model",
        "--uncertain-below": f"{CLI}::test_predict_says_uncertain_where_it_is_asked_to",
    },
    "enroll": ASKING | {"--replace": f"{CLIENT}::test_the_command_line_enrolls_here_and_with_a_server"},
    "speakers": ASKING
    | {
        "--delete": f"{SPEAKERS}::test_one_is_forgotten_and_the_other_stays",
        "--delete-all": f"{SPEAKERS}::test_all_who_enrolled_are_forgotten_and_those_of_the_training_stay",
    },
    "models": {
        "--delete": f"{SPEAKERS}::test_a_model_is_deleted_with_who_enrolled_for_it_and_no_other",
        "--model-save-path": f"{CLI}::test_a_request_file_is_taken_and_flags_come_first",
        "--json": f"{CLI}::test_models_lists_and_shows",
    },
    "synthesise": {
        "--clips": f"{CLI}::test_synthesise_writes_a_corpus_that_train_takes",
        "--seed": f"{CLI}::test_synthesise_writes_a_corpus_that_train_takes",
    },
    "list": {"--json": f"{ENCODER}::test_an_encoder_is_listed_verified_and_removed"},
    "fetch": {
        "--from": f"{ENCODER}::test_a_file_with_other_weights_is_refused",
        "--force": f"{ENCODER}::test_one_that_is_here_is_not_fetched_again_and_a_damaged_one_is",
    },
    "verify": {},
    "remove": {},
    "inspect": {
        "--data-path": f"{INSPECTION}::test_the_command_prints_json_and_a_page",
        "--json": f"{INSPECTION}::test_the_command_prints_json_and_a_page",
    },
}
SHOWN = "a-token-that-is-long-enough-to-be-one"


def commands(group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield from commands(command) if hasattr(command, "commands") else [(name, command)]


def test_every_flag_is_seen_to_do_something() -> None:
    """Those of `train` and `evaluate` are in test_flags.py, those of `ser pipeline` in tests/pipelines/test_cli.py."""
    for name, command in commands(typer.main.get_command(app)):
        if name in SEEN:
            flags = {option.opts[0] for option in command.params if option.opts[0].startswith("--")} - {"--help"}
            assert flags == set(SEEN[name])
    assert {name for name, _ in commands(typer.main.get_command(app))} == {
        *SEEN, "train", "evaluate", "run", "cross-validate", "compile", "submit",
    }  # fmt: skip
    for name, command in commands(typer.main.get_command(app)):
        assert command.help, name
        assert all(option.help for option in command.params), name
    for command, flags_of in SEEN.items():
        for flag, place in flags_of.items():
            file, _, test = place.partition("::")
            source = functions(TESTS / file).get(test, "")
            assert re.search(rf'"{flag}["=]', source), f"{place} does not give {flag}"
            assert re.search(rf'"{command}"', source), f"{place} does not run {command}"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip.wav").write_bytes(wav(tone(2.5)))
    return tmp_path / "clip.wav"


def ask(*arguments: object) -> Any:
    """What a command prints as JSON."""
    ended = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def asked(command: str, clip: Path) -> list[object]:
    """A command with what it cannot be without."""
    return {"predict": ["predict", clip], "enroll": ["enroll", "anna", clip], "speakers": ["speakers"]}[command]  # type: ignore[return-value]


def test_what_is_said_of_the_speaker_is_known_to_the_model(bundle: Bundle, server: Server, clip: Path) -> None:
    model = ["--model-id", bundle.manifest.model_id]
    for where in (["--model-save-path", bundle.folder.parent], ["--server", server.grpc]):
        plain = ask("predict", "--json", *model, *where, clip)["predictions"][0]
        assert set(plain["unknown"]) == {"speaker", "gender", "text"}
        for flag, word in (("--gender", "female"), ("--text", "a01"), ("--speaker", "03")):
            told = ask("predict", "--json", *model, *where, flag, word, clip)["predictions"][0]
            assert set(plain["unknown"]) - set(told["unknown"]) == {flag.removeprefix("--")}
            assert told["probabilities"] != plain["probabilities"], "the model does not hear it"


@pytest.mark.parametrize("command", ["predict", "enroll", "speakers"])
def test_a_model_is_asked_by_its_name(command: str, adaptive: Bundle, bundle: Bundle, clip: Path) -> None:
    models = clip.parent / "models"
    for one in (adaptive, bundle):  # the last is the newest, and does not adapt
        shutil.copytree(one.folder, models / one.manifest.model_id)
    where = ["--json", "--model-save-path", models]
    named = ask(*asked(command, clip), *where, "--model-id", adaptive.manifest.model_id)
    assert named["model_id"] == adaptive.manifest.model_id
    with pytest.raises(SerError) as caught:
        ask(*asked(command, clip), *where, "--model-id", "none")
    assert caught.value.code is Code.NOT_FOUND


def test_a_server_is_shown_the_token_of_the_file_and_trusted_by_the_authority(adaptive: Bundle, clip: Path) -> None:
    folder = clip.parent
    shutil.copytree(adaptive.folder, folder / "models" / adaptive.manifest.model_id)
    for name, issuer in (("ca", None), ("server", "ca"), ("stranger", None)):
        certificate(folder, name, issuer)
    (folder / "token").write_text(f"# mine\n{SHOWN}\n")
    (folder / "wrong").write_text(f"not-{SHOWN}\n")
    settings = {"token_file": folder / "token", "tls_cert": folder / "server.pem", "tls_key": folder / "server.key"}
    with serve(folder, **settings) as server:
        for name in ("predict", "enroll", "speakers"):
            command = [*asked(name, clip), "--json", "--server", server.grpc]
            right = ["--token-file", folder / "token", "--tls-ca", folder / "ca.pem"]
            assert ask(*command, *right)["model_id"] == adaptive.manifest.model_id
            for wrong, code in (
                (["--token-file", folder / "wrong", "--tls-ca", folder / "ca.pem"], Code.UNAUTHENTICATED),
                (["--tls-ca", folder / "ca.pem"], Code.UNAUTHENTICATED),
                (["--token-file", folder / "token", "--tls-ca", folder / "stranger.pem"], Code.UNAVAILABLE),
            ):
                with pytest.raises(SerError) as caught:
                    ask(*command, *wrong)
                assert caught.value.code is code, (name, wrong)

"""A model folder is data: whatever is in one, it is refused by name, at once, and runs nothing."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.bundles.bundle import Bundle
from ser.bundles.litert import LiteRTModel
from ser.bundles.manifest import FILES, FRONTEND, MANIFEST, SPEAKERS, TFLITE, VALIDATION, Manifest
from ser.bundles.model_store import load_manifest, load_report, open_bundle, read_undisturbed
from ser.bundles.network_structure import check_network
from ser.errors import DamagedError, NotFoundError
from ser.predictor import Predictor
from tests.forgery import forge_arrays, forge_manifest, forge_text
from tests.signals import tone, wav

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "models" / bundle.manifest.model_id))


@pytest.fixture
def listening(adaptive: Bundle, tmp_path: Path) -> Path:
    """The same of the model that adapts."""
    return Path(shutil.copytree(adaptive.folder, tmp_path / "models" / adaptive.manifest.model_id))


def use(folder: Path) -> None:
    """Opens a model and reads all of it, as a server does."""
    bundle = open_bundle(folder.parent, folder.name)
    bundle.frontend, bundle.standardiser, bundle.model, bundle.adaptation, bundle.validation  # noqa: B018 - reads them


def test_a_forged_bundle_that_is_sound_is_taken(copy: Path, listening: Path) -> None:
    for folder in (copy, listening):
        forge_manifest(folder, lambda content: content["metrics"].update(uar=0.5))
        forge_arrays(folder, FRONTEND, dict)
        use(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("what", ["fifo", "link", "folder", "sparse"])
def test_what_is_no_regular_file_of_a_sane_size_is_named_at_once(copy: Path, name: str, what: str) -> None:
    path = copy / name
    path.rename(copy.parent / "aside")
    match what:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(copy.parent / "aside")
        case "folder":
            path.mkdir()
        case "sparse":
            with path.open("wb") as file:
                file.truncate(1 << 42)
    with pytest.raises(DamagedError, match=rf"^{copy.name}/{name}: expected (a regular file|at most)"):
        use(copy)


def test_a_folder_that_is_a_link_is_no_model(copy: Path) -> None:
    copy.rename(copy.parent.parent / "elsewhere")
    copy.symlink_to(copy.parent.parent / "elsewhere")
    with pytest.raises(DamagedError, match=rf"^{copy.name}/{MANIFEST}: expected a regular file in a folder without"):
        use(copy)


def test_a_link_of_the_operator_s_on_the_way_to_the_models_is_followed(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(copy.parent)
    use(tmp_path / "linked" / copy.name)


def test_a_model_under_another_name_is_refused(copy: Path) -> None:
    other = copy.rename(copy.parent / "KerasClassifier-000000000000")
    with pytest.raises(DamagedError, match=f"^{other.name}/{MANIFEST} is the manifest of another model, {copy.name}$"):
        use(other)
    with pytest.raises(DamagedError, match="the manifest of another model"):
        load_manifest(other.parent, other.name)


MANIFESTS: dict[str, Change] = {
    "no classes": lambda content: content.update(classes=[]),
    "one class": lambda content: content.update(classes=content["classes"][:1]),
    "a class twice": lambda content: content["classes"].__setitem__(0, content["classes"][1]),
    "a class without a name": lambda content: content["classes"].__setitem__(0, ""),
    "a class of a book": lambda content: content["classes"].__setitem__(0, "x" * 1_000),
    "classes by the thousand": lambda content: content.update(classes=[str(number) for number in range(2_000)]),
    "another number of classes": lambda content: content["classes"].append("more"),
    "a path for a name": lambda content: content.update(model_id="../x"),
    "metrics out of range": lambda content: content["metrics"].update(uar=2.0),
    "metrics of words": lambda content: content["metrics"].update(uar="nan"),
    "no metrics": lambda content: content.update(metrics={}),
    "seconds before": lambda content: content.update(seconds=-1),
    "no date": lambda content: content.update(created="yesterday"),
    "a date without a zone": lambda content: content.update(created="2026-01-01T00:00:00"),
    "a date before all": lambda content: content.update(created="0001-01-01T00:00:00+23:59"),
    "another file": lambda content: content["files"].update({"../../passwd": "0" * 64}),
    "a file less": lambda content: content["files"].pop(TFLITE),
    "no digest": lambda content: content["files"].update({TFLITE: "0"}),
    "words for a number": lambda content: content.update(training_samples="many"),
    "more": lambda content: content.update(more=1),
    "another format": lambda content: content.update(format=4),
    "validation samples that are not there": lambda content: content["validation_samples"].append("x.wav"),
    "a validation sample twice": lambda content: content["validation_samples"].append(content["validation_samples"][0]),
    "pieces of nothing": lambda content: content["frontend"].update(piece_samples=0),
    "pieces of a year": lambda content: content["frontend"].update(piece_samples=10**12),
    "pieces of words": lambda content: content["frontend"].update(piece_samples="100"),
    "no piece": lambda content: content["frontend"].pop("piece_samples"),
    "no methods": lambda content: content["frontend"].update(methods={}),
    "methods of words": lambda content: content["frontend"].update(methods="MFCC"),
    "an unknown method": lambda content: content["frontend"].update(methods={"Wavelets": {}}),
    "a setting of a method": lambda content: content["frontend"]["methods"]["MFCC"].update(frame_stride=0),
    "other settings than the arrays'": lambda content: content["frontend"]["methods"]["MFCC"].update(num_filters=41),
    "another hop": lambda content: content["frontend"]["methods"]["MFCC"].update(frame_stride=1 / 16_000),
    "neither true nor false": lambda content: content["frontend"].update(normalize="yes"),
    "no front-end": lambda content: content.update(frontend=[]),
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_does_not_fit_is_named(copy: Path, change: Change) -> None:
    forge_manifest(copy, change)
    with pytest.raises(DamagedError, match=f"^{copy.name}/"):
        use(copy)


@pytest.mark.parametrize("text", ["NaN", "1e999", "[" * 5_000 + "]" * 5_000, "7" * 5_000, "7" * 30, '"\\ud800"', "{}{"])
@pytest.mark.parametrize("field", ["seconds", "hyperparameters", "metrics", "random_state"])
def test_json_that_ser_would_not_write_is_named(copy: Path, field: str, text: str) -> None:
    forge_text(copy, field, text)
    with pytest.raises(DamagedError, match=f"^{copy.name}/{MANIFEST} "):
        Manifest.load(open_place_of(copy))


def open_place_of(folder: Path) -> Any:
    from ser.storage.stored_file import StoredFolder

    return StoredFolder(folder, folder.name)


def put(**arrays: Any) -> Change:
    return lambda found: {**found, **{name.replace("__", "/"): array for name, array in arrays.items()}}


def scaled(name: str, by: float) -> Change:
    return lambda found: {**found, name: (found[name] * by).astype(found[name].dtype)}


def shorter(name: str) -> Change:
    return lambda found: {**found, name: found[name][:-1]}


def as_type(name: str, dtype: str) -> Change:
    return lambda found: {**found, name: found[name].astype(dtype)}


def without(name: str) -> Change:
    return lambda found: {key: array for key, array in found.items() if key != name}


ARRAYS: dict[str, tuple[str, Change]] = {
    "standardiser of NaN": (FRONTEND, scaled("standardiser/mean", np.nan)),
    "infinite window": (FRONTEND, scaled("MFCC/window", np.inf)),
    "standardiser of another width": (FRONTEND, shorter("standardiser/mean")),
    "no standardiser": (FRONTEND, without("standardiser/inverse_deviation")),
    "a standardiser of doubles": (FRONTEND, as_type("standardiser/mean", "float64")),
    "no window": (FRONTEND, without("MFCC/window")),
    "a shorter window": (FRONTEND, shorter("MFCC/window")),
    "a filterbank of words": (FRONTEND, put(MFCC__filterbank=np.array(["a"]))),
    "fewer speakers": (FRONTEND, shorter("SpeakerAndGenderAndTextType/speaker")),
    "speakers of numbers": (FRONTEND, put(SpeakerAndGenderAndTextType__speaker=np.zeros(3))),
    "something else": (FRONTEND, put(Wavelets__window=np.zeros(3))),
    "rows of NaN": (VALIDATION, scaled("rows", np.nan)),
    "a row less": (VALIDATION, shorter("rows")),
    "no emotion": (VALIDATION, without("emotion")),
    "emotions of numbers": (VALIDATION, put(emotion=np.zeros(3))),
    "another emotion": (VALIDATION, lambda found: {**found, "emotion": np.char.add(found["emotion"], "x")}),
    "pieces below nothing": (VALIDATION, scaled("pieces", -1)),
    "pieces without end": (VALIDATION, scaled("pieces", 2.0**60)),
    "a name twice": (VALIDATION, lambda found: {**found, "name": np.full_like(found["name"], found["name"][0])}),
    "fewer columns": (VALIDATION, lambda found: {**found, "rows": found["rows"][:, 1:].copy()}),
}


@pytest.mark.parametrize(("name", "change"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_do_not_fit_are_named(copy: Path, name: str, change: Change) -> None:
    forge_arrays(copy, name, change)
    with pytest.raises(DamagedError, match=f"^{copy.name}/{name}"):
        use(copy)


SPEAKER_ARRAYS: dict[str, Change] = {
    "mean of NaN": scaled("mean", np.nan),
    "a number less": shorter("mean"),
    "one number": put(mean=np.float64(1)),
    "less for all": lambda found: {
        name: array if name in ("speakers", "clips") else array[..., 1:].copy() for name, array in found.items()
    },
    "a deviation below nothing": scaled("deviation", -1),
    "no clips": scaled("clips", 0),
    "clips without end": scaled("clips", 2.0**40),
    "clips of fractions": as_type("clips", "float64"),
    "squares below nothing": scaled("squares", -1),
    "a speaker less": shorter("speakers"),
}


@pytest.mark.parametrize("change", SPEAKER_ARRAYS.values(), ids=SPEAKER_ARRAYS)
def test_statistics_of_speakers_that_do_not_fit_are_named(listening: Path, change: Change) -> None:
    forge_arrays(listening, SPEAKERS, change)
    with pytest.raises(DamagedError, match=f"^{listening.name}/"):
        use(listening)


def test_a_network_is_checked_before_litert_gets_it(bundle: Bundle) -> None:
    content = (bundle.folder / TFLITE).read_bytes()
    check_network(content)
    random = np.random.default_rng(20)
    taken = 0
    for number in range(3_000):
        damaged = bytearray(content)
        # The structure, not the weights: those lie in the middle.
        for place in random.integers(0, 4_000, size=1 + number % 3):
            damaged[place if random.random() < 0.5 else -1 - place] = int(random.integers(256))
        if number % 10 == 0:
            damaged = damaged[: random.integers(len(damaged))]
        try:
            check_network(bytes(damaged))
            taken += 1
        except ValueError:
            continue
    assert 0 < taken < 3_000


def test_a_network_leads_nowhere(bundle: Bundle) -> None:
    content = (bundle.folder / TFLITE).read_bytes()
    for offset in (0, 3, len(content) - 2, len(content), 2**31, 2**32 - 1):
        with pytest.raises(ValueError, match="leads out of the file|lies outside its table|longer than the file"):
            check_network(struct.pack("<I", offset) + content[4:])
    for cut in (b"", content[:7], content[:200], b"x" * 4 + content[4:8]):
        with pytest.raises(DamagedError, match=r"^model/x is not a LiteRT model"):
            LiteRTModel(cut, "model/x")


def test_weights_that_make_no_probabilities_are_named(copy: Path) -> None:
    """The structure is sound; what comes out is not."""
    content = bytearray((copy / TFLITE).read_bytes())
    # Every float of the largest constant becomes NaN.
    rows = Bundle(copy).frontend.num_features
    middle = len(content) // 2 // 4 * 4
    content[middle : middle + 4 * rows] = struct.pack("<f", np.nan) * rows
    (copy / TFLITE).write_bytes(bytes(content))
    forge_manifest(copy)
    with pytest.raises(DamagedError, match=f"^{copy.name}/{TFLITE}: expected probabilities that are finite"):
        use(copy)


def test_a_prediction_is_finite_or_an_error(copy: Path) -> None:
    bundle = Bundle(copy)
    rows = bundle.validation.rows[:3].copy()
    assert np.isfinite(bundle.predict(rows)).all()
    rows[1] = np.nan
    with pytest.raises(DamagedError, match=f"{TFLITE}: the network gives numbers that are not finite"):
        bundle.predict(rows)


def test_a_network_that_judges_a_voice_by_no_numbers_is_refused_when_it_is_opened(copy: Path) -> None:
    # Each number is finite, and their product is not.
    forge_arrays(copy, FRONTEND, lambda found: {
        **found, "standardiser/inverse_deviation": np.full_like(found["standardiser/mean"], 3e38),
    })  # fmt: skip
    with pytest.raises(DamagedError, match=f"^{copy.name}/{TFLITE}: expected probabilities that are finite"):
        Predictor(copy.parent, copy.name).predict(wav(tone(2.0)))


def test_a_report_that_is_not_found_while_its_model_is_replaced_is_looked_for_again(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "new")
    asked = []

    def read() -> str:
        if not asked:
            asked.append("once")
            copy.rename(tmp_path / "old")
            (tmp_path / "new").rename(copy)
            raise NotFoundError("no report between the two")
        return "the report"

    assert read_undisturbed(copy.parent, copy.name, read) == "the report"
    shutil.rmtree(copy / "report")
    with pytest.raises(NotFoundError, match="was not evaluated"):
        load_report(copy.parent, copy.name)


@pytest.mark.parametrize("change", ["link", "folder link", "fifo", "altered", "stamp", "no stamp", "missing", "large"])
def test_a_report_is_what_the_evaluation_wrote_or_none(copy: Path, change: str, tmp_path: Path) -> None:
    page, stamp = copy / "report" / "report.html", copy / "report" / "stamp.json"
    assert load_report(copy.parent, copy.name) == page.read_bytes()
    content = page.read_bytes()
    match change:
        case "link":
            page.rename(tmp_path / "page")
            page.symlink_to(tmp_path / "page")
        case "folder link":
            page.parent.rename(tmp_path / "report")
            page.parent.symlink_to(tmp_path / "report")
        case "fifo":
            page.unlink()
            os.mkfifo(page)
        case "altered":
            page.write_bytes(content.replace(b"<title>", b"<title>!", 1))
        case "stamp":
            stamp.write_bytes(stamp.read_bytes().replace(b'"uar"', b'"Uar"', 1))
        case "no stamp":
            stamp.unlink()
        case "missing":
            page.unlink()
        case "large":
            with page.open("ab") as file:
                file.truncate(1 << 40)
    with pytest.raises(DamagedError, match=f"^{copy.name}/report/(report.html|stamp.json)"):
        load_report(copy.parent, copy.name)

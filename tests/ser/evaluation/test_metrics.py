from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from ser.evaluation import ClassRow, Evaluation, GroupRow, RocCurve, WrongSample, evaluate
from tests.ser.evaluation.cases import by_hand, random_samples


@pytest.fixture(scope="module")
def figures() -> Evaluation:
    return evaluate(by_hand())


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The interval by its formula (Wilson 1927), z for 95 %."""
    z, share = 1.959963984540054, hits / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (middle - half) / scale, (middle + half) / scale


def test_headline_figures_are_those_computed_by_hand(figures: Evaluation) -> None:
    assert figures.samples == 6
    assert figures.accuracy == pytest.approx(4 / 6)
    assert figures.accuracy_interval == pytest.approx(wilson(4, 6))
    assert figures.uar == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert figures.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert figures.roc_auc == pytest.approx((1 + 0.5 + 0.8) / 3)
    assert figures.chance == pytest.approx(1 / 3)
    assert figures.majority == pytest.approx(1 / 2)


def test_confusion_has_the_truth_in_rows(figures: Evaluation) -> None:
    assert figures.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert figures.confusion.dtype == np.int64


def test_each_class_has_its_own_figures(figures: Evaluation) -> None:
    assert figures.per_class == (
        ClassRow("a", 1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3, 2, pytest.approx(1.0)),
        ClassRow("b", 0.5, 0.5, 0.5, 2, 2, pytest.approx(0.5)),
        ClassRow("c", 0.5, 1.0, pytest.approx(2 / 3), 1, 2, pytest.approx(0.8)),
    )


def test_groups_have_the_recall_of_the_classes_that_occur_in_them(figures: Evaluation) -> None:
    interval = pytest.approx(wilson(2, 3))
    assert figures.by_speaker == (
        GroupRow("x", 3, pytest.approx(2 / 3), interval, pytest.approx(2 / 3)),
        GroupRow("y", 3, pytest.approx(2 / 3), interval, pytest.approx(0.75)),
    )
    assert figures.by_gender == (
        GroupRow("female", 3, 1.0, pytest.approx(wilson(3, 3)), 1.0),
        GroupRow("male", 3, pytest.approx(1 / 3), pytest.approx(wilson(1, 3)), pytest.approx(0.25)),
    )


def test_confidently_wrong_starts_with_the_most_probable(figures: Evaluation) -> None:
    assert figures.confidently_wrong == (
        WrongSample("5.wav", "y", "b", "c", pytest.approx(0.95)),
        WrongSample("3.wav", "x", "a", "b", pytest.approx(0.6)),
    )


def test_confidently_wrong_stops_at_ten_and_orders_equals_by_name() -> None:
    count = 12
    scored = by_hand(
        names=tuple(f"{number:02d}.wav" for number in reversed(range(count))),
        speakers=("x",) * count,
        genders=("male",) * count,
        labels=("a",) * count,
        probabilities=np.tile(np.array([0.1, 0.8, 0.1], dtype=np.float32), (count, 1)),
    )
    assert [wrong.name for wrong in evaluate(scored).confidently_wrong] == [f"{n:02d}.wav" for n in range(10)]


def test_roc_curve_is_the_one_drawn_by_hand(figures: Evaluation) -> None:
    assert [curve.label for curve in figures.roc] == ["a", "b", "c"]
    curve = figures.roc[1]
    assert curve.fpr.tolist() == [0, 0, 1, 1]
    assert curve.tpr.tolist() == [0, 0.5, 0.5, 1]
    assert curve.thresholds.tolist() == pytest.approx([1.7, 0.7, 0.1, 0.0])


def test_micro_average_counts_every_pair_of_sample_and_class(figures: Evaluation) -> None:
    # Positives: .8 .6 .3 .7 0 .7 against 12 negatives: .1 .1 .3 .1 .6 .1 .2 .1 .05 .95 .1 .2.
    beaten = 11 + 10.5 + 9.5 + 11 + 0 + 11
    assert figures.roc_micro is not None
    assert figures.roc_micro.auc == pytest.approx(beaten / (6 * 12))


@pytest.mark.parametrize("seed", range(5))
def test_figures_agree_with_scikit_learn_on_random_samples(seed: int) -> None:
    scored = random_samples(60, seed=seed)
    figures = evaluate(scored)
    assert figures.uar == pytest.approx(balanced_accuracy_score(scored.truth, scored.predicted))
    assert figures.macro_f1 == pytest.approx(f1_score(scored.truth, scored.predicted, average="macro"))
    assert figures.roc_auc == pytest.approx(
        roc_auc_score(scored.truth, scored.probabilities.astype(np.float64), multi_class="ovr"), abs=1e-6
    )
    assert figures.confusion.sum() == 60
    assert np.trace(figures.confusion) / 60 == pytest.approx(figures.accuracy)


def test_a_class_that_does_not_occur_counts_only_where_it_is_predicted() -> None:
    # As by hand, but c does not occur: the third class is predicted twice, wrongly both times.
    scored = by_hand(labels=("a", "a", "a", "b", "b", "b"))
    figures = evaluate(scored)
    assert figures.uar == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert figures.macro_f1 == pytest.approx((0.8 + 2 / 5 + 0) / 3)
    assert figures.per_class[2] == ClassRow("c", 0.0, 0.0, 0.0, 0, 2, None)
    assert [curve.label for curve in figures.roc] == ["a", "b"]
    assert figures.roc_auc == pytest.approx(np.mean([curve.auc for curve in figures.roc]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns that a class is predicted that does not occur
        assert figures.uar == pytest.approx(balanced_accuracy_score(scored.truth, scored.predicted))


def test_a_class_neither_occurring_nor_predicted_is_left_out_of_macro_f1() -> None:
    scored = by_hand()
    wider = by_hand(
        classes=("a", "b", "c", "d"), probabilities=np.pad(scored.probabilities, ((0, 0), (0, 1))) * np.float32(0.9)
    )
    assert evaluate(wider).macro_f1 == pytest.approx(evaluate(scored).macro_f1)
    assert evaluate(wider).uar == pytest.approx(evaluate(scored).uar)


@pytest.mark.parametrize(("label", "right"), [("a", 1.0), ("b", 0.0)])
def test_a_single_sample_has_figures(label: str, right: float) -> None:
    figures = evaluate(
        by_hand(
            names=("1.wav",),
            speakers=("x",),
            genders=("male",),
            labels=(label,),
            probabilities=np.array([[0.8, 0.1, 0.1]], dtype=np.float32),
        )
    )
    assert (figures.samples, figures.accuracy, figures.uar, figures.macro_f1) == (1, right, right, right)
    assert figures.accuracy_interval == pytest.approx(wilson(int(right), 1))
    assert figures.roc == ()
    assert figures.roc_auc is None
    assert figures.roc_micro is not None


def test_a_single_class_has_no_roc() -> None:
    figures = evaluate(random_samples(5, ("anger",)))
    assert (figures.accuracy, figures.uar, figures.chance) == (1.0, 1.0, 1.0)
    assert figures.confusion.tolist() == [[5]]
    assert (figures.roc, figures.roc_micro, figures.roc_auc) == ((), None, None)


@pytest.mark.parametrize(
    "scored",
    [
        by_hand(),
        random_samples(54),
        random_samples(40, absent=("disgust",)),
        random_samples(1),
        random_samples(5, ("anger",)),
        random_samples(20, ("yes", "no"), skill=50),
    ],
    ids=["by hand", "seven classes", "a class absent", "a single sample", "a single class", "all right"],
)
def test_small_sets_give_finite_json_and_no_warning(scored) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = evaluate(scored).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["chance"] == 1 / len(scored.classes)
    assert len(content["per_class"]) == len(scored.classes)


def test_the_first_threshold_is_above_every_probability() -> None:
    scored = random_samples(54)
    figures = evaluate(scored)
    assert isinstance(figures.roc_micro, RocCurve)
    for curve in (*figures.roc, figures.roc_micro):
        assert np.isfinite(curve.thresholds).all()
        assert curve.thresholds[0] > curve.thresholds[1]
        assert (np.diff(curve.thresholds) < 0).all()
    assert figures.roc_micro.thresholds[0] > scored.probabilities.max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ()}, "at least one sample"),
        ({"speakers": ("x",)}, "expected 6 speakers, one a name, got 1"),
        ({"genders": ()}, "expected 6 genders, one a name, got 0"),
        ({"labels": ("a",) * 7}, "expected 6 labels, one a name, got 7"),
        ({"labels": ("a", "a", "a", "b", "b", "joy")}, r"got \['joy'\]"),
        ({"classes": ("a", "b", "b")}, "expected distinct classes"),
        ({"probabilities": np.zeros((6, 2), dtype=np.float32)}, r"shape \(6, 3\), got \(6, 2\)"),
        ({"probabilities": np.full((6, 3), np.nan, dtype=np.float32)}, "expected finite"),
        ({"probabilities": np.full((6, 3), np.inf, dtype=np.float32)}, "expected finite"),
        ({"probabilities": np.full((6, 3), -2.5, dtype=np.float32)}, "between 0 and 1, got -2.5"),
    ],
)
def test_samples_that_do_not_fit_together_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_hand(**changes)


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = ["sklearn", "scipy.stats", "matplotlib", "jinja2"]
    code = f"import sys, ser.evaluation; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_figures_are_computed_without_matplotlib_and_jinja2() -> None:
    code = (
        "import sys; sys.modules.update({'matplotlib': None, 'jinja2': None})\n"
        "import numpy as np\n"
        "from ser.evaluation.metrics import ScoredSamples, evaluate\n"
        "probabilities = np.array([[0.9, 0.1]], np.float32)\n"
        "scored = ScoredSamples(('1.wav',), ('x',), ('male',), ('a',), ('a', 'b'), probabilities)\n"
        "print(evaluate(scored).uar)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1.0"

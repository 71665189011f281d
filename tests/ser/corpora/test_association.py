from __future__ import annotations

import numpy as np
import pytest

from ser.corpora.association import Feasibility, confounding, cramers_v, protocols


def test_v_is_0_for_what_is_independent_and_1_for_what_follows() -> None:
    rng = np.random.default_rng(0)
    independent = [(str(a), str(b)) for a, b in rng.integers(0, 7, (3_000, 2))]
    assert cramers_v(independent) == pytest.approx(0, abs=0.05)
    assert cramers_v([(a, a) for a, _ in independent]) == pytest.approx(1, abs=0.01)


def test_v_is_corrected_for_bias() -> None:
    # 40 recordings over 10 by 7 cells: plain V of independent variables is about 0.4.
    rng = np.random.default_rng(1)
    values = [cramers_v([(str(a), str(b)) for a, b in rng.integers(0, (10, 7), (40, 2))]) for _ in range(50)]
    assert np.mean([value for value in values if value is not None]) < 0.15


def test_v_of_a_table_of_two_by_two_is_as_worked_out_by_hand() -> None:
    pairs = [("a", "x")] * 30 + [("a", "y")] * 10 + [("b", "x")] * 10 + [("b", "y")] * 30
    # phi^2 = 0.25; corrected 0.25 - 1 / 79; sizes 2 - 1 / 79.
    assert cramers_v(pairs) == pytest.approx(((0.25 - 1 / 79) / (1 - 1 / 79)) ** 0.5)


@pytest.mark.parametrize("pairs", [[], [("a", "x")], [("a", "x"), ("a", "y")], [("a", "x"), ("b", "y")]])
def test_v_is_none_where_nothing_can_be_told(pairs: list[tuple[str, str]]) -> None:
    assert cramers_v(pairs) is None


def test_what_gives_the_label_away_is_said() -> None:
    groups, labels = list("aabbcc") * 3, ["x", "x", "y", "y", "z", "x"] * 3
    found = confounding("speaker", groups, labels)
    assert found.single == {"y": "b", "z": "c"}
    assert "very much" in found.meaning
    assert "2 of 3 have a single label" in found.meaning
    assert "From a single speaker: y (b), z (c)." in found.meaning
    assert confounding("text", ["unknown"] * 3, list("xyz")).meaning == "The text is unknown."
    assert confounding("speaker", ["a/unknown", "b/unknown", ""], list("xyz")).meaning == "The speaker is unknown."
    assert confounding("text", ["a"] * 3, list("xyz")).meaning == "There is one text."


def verdicts(
    labels: list[str], speakers: list[str], texts: list[str] | None = None, corpora: list[str] | None = None
) -> dict[str, Feasibility]:
    found = protocols(labels, speakers, texts or ["t"] * len(labels), corpora or ["c"] * len(labels))
    return {one.protocol: one for one in found}


def test_protocols_that_a_corpus_allows() -> None:
    labels, speakers = list("xyxy") * 6, list("aabb") * 6
    texts = ["1"] * 12 + ["2"] * 12
    found = verdicts(labels, speakers, texts, speakers)
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(found, "yes")
    assert len(found) == 6


def test_protocols_that_it_does_not_allow_say_why() -> None:
    assert "One recording cannot be both" in verdicts(list("xxy"), list("aab"))["holdout"].reason
    assert verdicts(list("xx"), list("ab"))["holdout"].verdict == "no"
    assert verdicts([], [])["holdout"].verdict == "no"
    few = verdicts(list("xxxyyy"), list("aabbab"))["k-fold"]
    assert (few.verdict, few.reason) == ("with care", "At most 3 folds: there are so many of x.")
    of_two_corpora = verdicts(list("xxyy"), ["a/unknown", "b/unknown"] * 2)["leave one speaker out"]
    assert of_two_corpora.verdict == "no"
    assert "The speaker of 4 of 4 recordings is unknown" in of_two_corpora.reason
    unknown = verdicts(list("xxyy"), ["unknown"] * 4)["leave one speaker out"]
    assert (unknown.verdict, "speaker of 4 of 4 recordings is unknown" in unknown.reason) == ("no", True)
    alone = verdicts(list("xxyy"), list("aabb"))["leave one speaker out"]
    assert (alone.verdict, "cannot be learnt" in alone.reason) == ("no", True)
    care = verdicts(list("xxyyx"), list("aabbb"))["leave one speaker out"]
    assert (care.verdict, care.reason.endswith("left out: y.")) == ("with care", True)
    both = verdicts(list("xyxy"), list("aabb"), list("1212"))["leave one speaker and text out"]
    assert (both.verdict, "single text" in both.reason) == ("no", True)

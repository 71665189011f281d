from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import warnings
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from ser.evaluation import ReportFacts, ScoredSamples, evaluate, write_report
from ser.evaluation.canvas import INK, SHADES, percent, png_size, short
from ser.evaluation.report import PICTURES
from tests.ser.evaluation.cases import by_hand, random_samples

DASH = "\N{EN DASH}"
ZERO = "0.0\N{NO-BREAK SPACE}%"
HISTORY = {
    "loss": [1.9, 1.2, 0.8],
    "accuracy": [0.3, 0.5, 0.7],
    "val_loss": [1.8, 1.4, 1.3],
    "val_accuracy": [0.3, 0.4, 0.5],
}
FACTS = ReportFacts(
    model_id="KerasClassifier-0123456789ab",
    model_type="KerasClassifier",
    corpus="emodb (60 recordings)",
    protocol="10 % of the files were held out.",
    settings={"model_config.lr": "0.001", "random_state": "42"},
    history=HISTORY,
)


class Page(HTMLParser):
    """What the tests ask of a page: tags with their attributes, and the text outside of style."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text += f"{data} "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(folder: Path, scored: ScoredSamples, facts: ReportFacts = FACTS) -> str:
    write_report(folder, evaluate(scored), facts)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report(folder, by_hand())
    return folder


@pytest.fixture(scope="module")
def content(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_folder_has_the_page_the_pictures_and_the_figures(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"report.html", "metrics.json", *PICTURES}


def test_metrics_json_is_the_evaluation(folder: Path) -> None:
    assert json.loads((folder / "metrics.json").read_text()) == evaluate(by_hand()).to_dict()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_pngs_with_something_on_white(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    pixels = imread(io.BytesIO(content))
    assert pixels.shape[:2] == png_size(content)[::-1]
    assert min(pixels.shape[:2]) > 100
    assert pixels[0, 0, :3].tolist() == [1, 1, 1]
    assert pixels.std() > 0.01


def test_the_page_embeds_the_pictures_of_the_folder(folder: Path, content: str) -> None:
    images = Page(content).all("img")
    embedded = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in images]
    assert sorted(embedded) == sorted((folder / name).read_bytes() for name in PICTURES)
    assert all(image["alt"] and int(image["width"]) and int(image["height"]) for image in images)


def test_the_page_refers_to_nothing_outside(content: str) -> None:
    page = Page(content)
    references = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "data", "action", "poster"}
    ]
    assert references
    assert all(value.startswith("data:") for value in references)
    assert not re.search(r"https?://|@import|url\(", content)
    assert not page.all("script")


def test_the_page_says_the_headline_figures(content: str) -> None:
    text = " ".join(Page(content).text.split())
    for figure in ("72.2 %", "66.7 %", "30.0 % to 90.3 %", "65.6 %", "33.3 %", "mean ROC AUC 0.767"):
        assert figure in text
    assert "Recordings 6" in text
    assert "always answering “a” has 50.0 % accuracy" in text


def test_the_page_says_what_the_model_is_and_how_it_was_measured(content: str) -> None:
    text = Page(content).text
    for expected in (FACTS.model_id, FACTS.model_type, FACTS.corpus, FACTS.protocol, "model_config.lr", "0.001"):
        assert expected in text
    assert "no early stopping" in text
    assert "last epoch, 3" in text


def test_the_most_confidently_wrong_is_listed_first(content: str) -> None:
    text = " ".join(Page(content).text.split()).partition("Most confidently wrong")[2]
    assert text.index("5.wav y b c 95.0 %") < text.index("3.wav x a b 60.0 %")


def test_a_page_without_errors_says_so(tmp_path: Path) -> None:
    assert "No recording was misclassified." in report(tmp_path, random_samples(21, skill=50))


def test_tables_have_captions_and_headed_rows(content: str) -> None:
    page = Page(content)
    assert len(page.all("table")) == len(page.all("caption")) == 7
    assert all(heading.get("scope") in {"col", "row"} for heading in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]


def test_names_from_a_corpus_are_escaped(tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script>'
    scored = by_hand(
        names=tuple(f"{number}{attack}.wav" for number in range(6)),
        speakers=(attack,) * 6,
        genders=(f"g{attack}",) * 6,
        labels=(attack, attack, attack, "b", "b", "c"),
        classes=(attack, "b", "c"),
    )
    facts = dataclasses.replace(
        FACTS, model_id=attack, model_type=attack, corpus=attack, protocol=attack, settings={attack: attack}
    )
    content = report(tmp_path, scored, facts)
    assert "<script" not in content
    assert "&lt;script&gt;" in content
    text = Page(content).text
    assert f"4{attack}.wav" in text
    assert f"g{attack}" in text


def test_odd_names_neither_break_a_picture_nor_vanish(tmp_path: Path) -> None:
    names = (r"$\bad{$", "_hidden", "a {{ 1 }} b", "very long " * 9, "%s", "Überraschung")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = Page(report(tmp_path, random_samples(24, names, speakers=names))).text
    for name in names:
        assert text.count(name) >= 3  # as a class and as a speaker


@pytest.mark.parametrize(
    "scored",
    [
        random_samples(10, ("yes", "no")),
        random_samples(40, [f"emotion {number}" for number in range(14)], speakers=[f"{n}" for n in range(24)]),
        random_samples(1),
        random_samples(4, ("anger",)),
        random_samples(30, absent=("disgust",)),
        random_samples(90, speakers=[f"speaker {number}" for number in range(45)]),
    ],
    ids=["2 classes", "14 classes", "a single sample", "a single class", "a class absent", "45 speakers"],
)
def test_hard_cases_are_reported_without_warnings(tmp_path: Path, scored: ScoredSamples) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = report(tmp_path, scored)
    assert len(Page(content).all("img")) == len(PICTURES)
    for speaker in set(scored.speakers):
        assert f'<th scope="row">{speaker}</th>' in content


@pytest.mark.parametrize("epochs", [0, 1, 100])
def test_learning_curves_take_any_number_of_epochs(tmp_path: Path, epochs: int) -> None:
    history = {key: [0.5] * epochs for key in HISTORY} if epochs else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = report(tmp_path, by_hand(), dataclasses.replace(FACTS, history=history))
    assert ("No learning history was recorded." in content) == (epochs == 0)
    assert (f"last epoch, {epochs}" in content) == (epochs > 0)
    assert png_size((tmp_path / "learning_curves.png").read_bytes())[1] > 50


def test_an_undefined_figure_is_a_dash_and_not_a_zero(tmp_path: Path) -> None:
    scored = by_hand(labels=("a", "a", "a", "b", "b", "b"))
    row = re.search(r'<tr><th scope="row">c</th>(.*?)</tr>', report(tmp_path, scored).partition("Each emotion")[2])
    assert row is not None
    assert re.findall(r"<td>(.*?)</td>", row[1]) == [DASH, ZERO, ZERO, DASH, "0"]


def test_the_same_evaluation_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    report(tmp_path, by_hand())
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_counts_can_be_read_on_every_shade_and_shades_in_greyscale() -> None:
    def luminance(color: str | tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    shades = [luminance(SHADES(share)) for share in np.linspace(0, 1, 101)]
    assert all(after < before for before, after in pairwise(shades))
    assert (shades[-1] + 0.05) / (luminance(INK) + 0.05) >= 4.5


@pytest.mark.parametrize(("rate", "text"), [(0.0, "0 %"), (0.125, "13 %"), (2 / 3, "67 %"), (1.0, "100 %")])
def test_whole_percents_round_halves_up(rate: float, text: str) -> None:
    assert percent(rate) == text


def test_long_names_are_cut_in_pictures() -> None:
    assert short("sadness") == "sadness"
    assert short("contentment with reservations") == "contentment with re…"

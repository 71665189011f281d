"""The report of a model: a page that stands alone, its pictures, and its figures as JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ser.evaluation.cross_validated import CrossValidated, Spread
from ser.evaluation.metrics import Evaluation
from ser.storage.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_HTML = "report.html"
METRICS_JSON = "metrics.json"
PICTURES = ("confusion_matrix.png", "roc.png", "classes.png", "reliability.png", "learning_curves.png", "groups.png")
"""Files of a report's folder, beside the page and the figures."""


@dataclass(frozen=True)
class ReportFacts:
    """What a report says of a model besides its figures."""

    model_id: str
    """The page's title."""
    model_type: str
    corpus: str
    """Where the recordings came from."""
    protocol: str
    """A sentence that says how the evaluated recordings were chosen."""
    settings: Mapping[str, str]
    """Dotted key to printable value."""
    history: Mapping[str, Sequence[float]]
    """A value an epoch of loss, accuracy, val_loss and val_accuracy; may be empty."""
    cross_validated: CrossValidated | None = None
    """Of a cross-validation, the figures of folds and seeds; the report's own are then pooled over the first seed's
    folds."""


@dataclass(frozen=True)
class Picture:
    """A picture that is part of the page."""

    uri: str
    """The PNG as a data URI."""
    width: int
    """On the page, in CSS pixels."""
    height: int


def write_report(folder: Path, evaluation: Evaluation, facts: ReportFacts) -> None:
    """Writes report.html, metrics.json and six PNGs.

    The page needs no network and no script: pictures and style are inside.

    Args:
        folder: An existing folder.
        evaluation: The figures.
        facts: What to say of the model.
    """
    # Imported here: what computes figures needs no matplotlib, and a command line must not wait for it.
    from ser.evaluation.canvas import png

    pictures: dict[str, bytes] = {}
    for name, figure in _figures(evaluation, facts).items():
        pictures[name] = png(figure)
        (folder / name).write_bytes(pictures[name])
    (folder / REPORT_HTML).write_text(_page(evaluation, facts, pictures), encoding="utf-8")
    write_json(folder / METRICS_JSON, (facts.cross_validated or evaluation).to_dict())


def _figures(evaluation: Evaluation, facts: ReportFacts) -> dict[str, Figure]:
    from ser.evaluation import plots

    figures = (
        plots.confusion_matrix(evaluation),
        plots.roc(evaluation),
        plots.classes(evaluation),
        plots.reliability(evaluation),
        plots.learning_curves(facts.history),
        plots.groups(evaluation),
    )
    return dict(zip(PICTURES, figures, strict=True))


def _page(evaluation: Evaluation, facts: ReportFacts, pictures: Mapping[str, bytes]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["spread"] = _spread
    return environment.get_template("report.html.jinja").render(
        evaluation=evaluation,
        facts=facts,
        totals=evaluation.confusion.sum(axis=1).tolist(),
        counts=evaluation.confusion.tolist(),
        epochs=max((len(values) for values in facts.history.values()), default=0),
        pictures={name.removesuffix(".png"): _embed(content) for name, content in pictures.items()},
    )


def _template(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _embed(content: bytes) -> Picture:
    from ser.evaluation.canvas import png_size

    width, height = png_size(content)
    return Picture(f"data:image/png;base64,{base64.b64encode(content).decode()}", width // 2, height // 2)


def _spread(figures: Spread) -> str:
    """Mean ± deviation of rates, in percent."""
    deviation = "" if figures.deviation is None else f" ± {100 * figures.deviation:.1f}"
    return f"{100 * figures.mean:.1f}{deviation}\N{NO-BREAK SPACE}%"


def _percent(rate: float, digits: int = 1) -> str:
    """A rate from 0 to 1 in percent, with a space that does not break."""
    return f"{100 * rate:.{digits}f}\N{NO-BREAK SPACE}%"

"""The report's pictures: one function a picture, from figures to a matplotlib `Figure`.

Each is readable in greyscale, and with 2 classes as with 14.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ser.evaluation.canvas import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    QUIET,
    SHADES,
    SMALL,
    TEXT,
    WIDTH_INCHES,
    in_percent,
    name_rows,
    name_style,
    new_figure,
    percent,
    quiet,
    short,
    title,
)
from ser.evaluation.metrics import ClassRow, Evaluation, GroupRow
from ser.evaluation.roc import RocCurve

MOST_SPEAKERS = 40
"""A picture of more speakers than this would be longer than anyone scrolls."""


def confusion_matrix(evaluation: Evaluation) -> Figure:
    """Counts, with the percentage of the row; the shade is the percentage."""
    counts, names = evaluation.confusion, [short(label) for label in evaluation.classes]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    row_names = [f"{name}  ({total})" for name, total in zip(names, totals[:, 0], strict=True)]
    longest = max(map(len, names))
    cell = 0.74 if len(names) <= 8 else 0.62
    # Level names that are wider than a cell would run into each other.
    slanted = longest > 13 * cell
    side = cell * len(names)
    figure = new_figure(side + 0.9 + 0.075 * longest, side + (0.55 + 0.05 * longest if slanted else 0.55))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=SHADES, vmin=0.0, vmax=1.0)
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": INK, "textcoords": "offset points"}
    for row, column in np.argwhere(counts > 0):
        axes.annotate(str(counts[row, column]), (column, row), (0, 5), fontsize=TEXT + 1, **style)
        axes.annotate(percent(shares[row, column]), (column, row), (0, -8), fontsize=SMALL - 1, **style)
    places = range(len(names))
    axes.set_yticks(places, row_names, **name_style())
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(places, names, **name_style(**slant))
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FAINT)
    axes.set_xlabel("Predicted", color=MUTED, fontsize=TEXT)
    axes.set_ylabel("Truth (recordings)", color=MUTED, fontsize=TEXT)
    return figure


def roc(evaluation: Evaluation) -> Figure:
    """One panel a class, in which the others stay as faint lines, and one for the micro-average."""
    curves = {curve.label: curve for curve in evaluation.roc}
    panels = [(short(label), curves.get(label)) for label in evaluation.classes]
    panels.append(("micro-average", evaluation.roc_micro))
    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(WIDTH_INCHES / 4 * columns, 2.45 * rows + 0.2)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for number, (axes, (name, curve)) in enumerate(zip(grid, panels, strict=False)):
        _roc_panel(axes, name, curve, evaluation.roc)
        axes.tick_params(labelbottom=number + columns >= len(panels))
    figure.supxlabel("False positive rate", color=MUTED, fontsize=TEXT)
    figure.supylabel("True positive rate", color=MUTED, fontsize=TEXT)
    return figure


def _roc_panel(axes: Axes, name: str, curve: RocCurve | None, others: Sequence[RocCurve]) -> None:
    quiet(axes)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.plot((0, 1), (0, 1), color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
    title(axes, name)
    if curve is None:
        axes.text(0.5, 0.5, "undefined", ha="center", va="center", color=MUTED, fontsize=TEXT, backgroundcolor="white")
        return
    for other in others:
        axes.plot(other.fpr, other.tpr, color=FAINT, linewidth=0.8)
    axes.plot(curve.fpr, curve.tpr, color=BLUE, linewidth=2.0, clip_on=False)
    axes.text(0.98, 0.05, f"AUC {curve.auc:.2f}", ha="right", color=INK, fontsize=TEXT)


def classes(evaluation: Evaluation) -> Figure:
    """Recall, precision and F1 of each class as bars, with UAR and macro F1 as lines."""
    rows = evaluation.per_class
    figure = new_figure(WIDTH_INCHES, 0.34 * len(rows) + 0.9)
    recall, precision, f1 = figure.subplots(1, 3, sharey=True)
    _bars(recall, "Recall", [row.recall if row.support else None for row in rows])
    _bars(precision, "Precision", [row.precision if row.predicted else None for row in rows])
    _bars(f1, "F1", [row.f1 if row.support + row.predicted else None for row in rows])
    _mean_line(recall, "UAR", evaluation.uar)
    _mean_line(f1, "macro", evaluation.macro_f1)
    name_rows(recall, [_class_name(row) for row in rows])
    return figure


def _class_name(row: ClassRow) -> str:
    return f"{short(row.label)}  ({row.support})"


def _bars(axes: Axes, heading: str, values: Sequence[float | None]) -> None:
    quiet(axes, grid="x")
    title(axes, heading)
    axes.barh(range(len(values)), [value or 0.0 for value in values], height=0.62, color=BLUE)
    for row, value in enumerate(values):
        text, color = ("undefined", MUTED) if value is None else (percent(value), INK)
        # The box keeps the mean's line out of the figures.
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2.0}
        axes.text((value or 0.0) + 0.03, row, text, va="center", color=color, fontsize=SMALL, bbox=box)
    axes.set_xlim(0, 1.2)
    in_percent(axes.xaxis, 0.5)


def _mean_line(axes: Axes, name: str, value: float) -> None:
    axes.axvline(value, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_title(f"{name} {percent(value)}", loc="right", color=ORANGE, fontsize=SMALL)


def reliability(evaluation: Evaluation) -> Figure:
    """Accuracy by the probability of the prediction, against what was promised; below it, how many samples."""
    calibration = evaluation.calibration
    figure = new_figure(0.62 * WIDTH_INCHES, 4.3)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    quiet(above, grid="y")
    quiet(below, grid="y")
    bins = [one for one in calibration.bins if one.samples]
    centres = [(one.low + one.high) / 2 for one in bins]
    width = 0.88 / len(calibration.bins)
    above.bar(centres, [one.accuracy or 0.0 for one in bins], width=width, color=BLUE, label="accuracy")
    above.plot((0, 1), (0, 1), color=MUTED, linewidth=1.0, linestyle=(0, (2, 3)))
    above.plot(
        centres, [one.confidence or 0.0 for one in bins], "D", mfc="white", mec=ORANGE, mew=1.4, markersize=7,
        label="mean probability", clip_on=False,
    )  # fmt: skip
    above.set_ylim(0, 1.02)
    in_percent(above.yaxis)
    title(above, "Right, of those with this probability")
    above.set_title(f"ECE {100 * calibration.ece:.1f} %", loc="right", color=ORANGE, fontsize=SMALL)
    below.bar(centres, [one.samples for one in bins], width=width, color=QUIET)
    below.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    title(below, "Recordings")
    below.set_xlim(-0.01, 1.01)
    in_percent(below.xaxis, 0.2)
    below.set_xlabel("Probability of the prediction", color=MUTED, fontsize=TEXT)
    handles, names = above.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def learning_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Loss and accuracy by epoch, on training and validation samples; a sentence where there is no history."""
    if not any(len(values) for values in history.values()):
        figure = new_figure(4.0, 0.6)
        figure.text(0.5, 0.5, "No learning history was recorded.", ha="center", va="center", color=MUTED, fontsize=TEXT)
        return figure
    figure = new_figure(WIDTH_INCHES, 3.1)
    loss, accuracy = figure.subplots(1, 2)
    for axes, key, heading in ((loss, "loss", "Loss"), (accuracy, "accuracy", "Accuracy")):
        quiet(axes, grid="y")
        title(axes, heading)
        _curve(axes, history.get(key, ()), "training", color=BLUE, marker="o", markersize=4)
        dashes = {"linestyle": (0, (4, 1.5)), "marker": "D", "markersize": 7, "markerfacecolor": "none"}
        _curve(axes, history.get(f"val_{key}", ()), "validation", color=ORANGE, **dashes)
        axes.set_xlabel("Epoch", color=MUTED, fontsize=TEXT)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
    highest = max((v for key in ("loss", "val_loss") for v in history.get(key, ()) if math.isfinite(v)), default=0.0)
    loss.set_ylim(0, 1.08 * highest or 1.0)
    accuracy.set_ylim(0, 1.02)
    in_percent(accuracy.yaxis)
    handles, names = loss.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def _curve(axes: Axes, values: Sequence[float], name: str, **style: Any) -> None:
    if not len(values):
        return
    # Markers show where there is a single epoch, and would hide the line where there are many.
    if len(values) > 10:
        style["marker"] = ""
    axes.plot(range(1, len(values) + 1), values, linewidth=1.8, label=name, **style)
    if len(values) == 1:
        axes.set_xlim(0.5, 1.5)


def groups(evaluation: Evaluation) -> Figure:
    """Accuracy with its interval, and UAR, by gender and by speaker."""
    speakers = evaluation.by_speaker
    heading = "By speaker"
    if len(speakers) > MOST_SPEAKERS:
        heading = f"By speaker: the {MOST_SPEAKERS} of {len(speakers)} with the most recordings"
        speakers = tuple(sorted(speakers, key=lambda row: -row.samples)[:MOST_SPEAKERS])
    genders = evaluation.by_gender
    figure = new_figure(WIDTH_INCHES, 0.28 * (len(speakers) + len(genders)) + 2.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(len(genders) + 0.5, len(speakers) + 0.5))
    _dots(above, "By gender", genders)
    _dots(below, heading, speakers)
    above.set_xlim(-0.02, 1.02)
    in_percent(below.xaxis)
    handles, names = above.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def _dots(axes: Axes, heading: str, rows: Sequence[GroupRow]) -> None:
    quiet(axes, grid="x")
    title(axes, heading)
    places = range(len(rows))
    low, high = zip(*(row.accuracy_interval for row in rows), strict=True)
    axes.hlines(places, low, high, color=QUIET, linewidth=2)
    accuracy = [row.accuracy for row in rows]
    axes.plot(accuracy, places, "o", color=BLUE, markersize=5.5, clip_on=False, label="accuracy with 95 % interval")
    uar = [row.uar for row in rows]
    axes.plot(uar, places, "D", mfc="none", mec=ORANGE, mew=1.4, markersize=8, clip_on=False, label="UAR")
    name_rows(axes, [f"{short(row.group) or 'not known'}  ({row.samples})" for row in rows])

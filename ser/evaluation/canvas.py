"""What the report's pictures have in common: sizes, colors, and a PNG at the end.

Figures are made through matplotlib's object API: no pyplot and no state that outlives a picture. Names come from a
corpus and are data: `name_style` keeps matplotlib from reading mathematics between two dollar signs.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

# On white, text and lines have a contrast of at least 4.5, `QUIET` of 3; what is `FAINT` or `GRID` is background.
# Blue and orange are told apart by dash or marker too, for those who see them as greys.
INK = "#1f2933"
MUTED = "#5b6570"
QUIET = "#89929c"
FAINT = "#c9ced4"
GRID = "#e6e9ed"
BLUE = "#1d5a94"
ORANGE = "#b85508"
SHADES = LinearSegmentedColormap.from_list("shares", ["#f7fafd", "#5a9fd0"])
"""For rates from 0 to 1: darkens steadily, and `INK` has a contrast of 5 on its darkest."""

WIDTH_INCHES = 8.8
"""Of a picture that fills the page's text width."""
DPI = 200
"""Two pixels for each of the page's, which shows 100 of its own an inch."""
TEXT, SMALL, TITLE = 9.0, 8.0, 9.5
"""Sizes in points."""
LONGEST_NAME = 20
"""Characters of a name that a picture shows; the page's tables show all."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """A white figure that lays itself out and can be drawn without a display."""
    figure = Figure(figsize=(width_inches, height_inches), facecolor="white")
    figure.set_layout_engine("constrained", wspace=0.06, hspace=0.04)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG, without white margins; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None})
    return buffer.getvalue()


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header (https://www.w3.org/TR/png-3/#11IHDR)."""
    width, height = struct.unpack(">II", content[16:24])
    return int(width), int(height)


def short(name: str) -> str:
    """A name, cut to what a picture has room for."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1].rstrip()}…"


def name_style(**style: Any) -> dict[str, Any]:
    """Text properties of a name that comes from a corpus."""
    return {"color": INK, "fontsize": TEXT, "parse_math": False, **style}


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Gives each row of an axes a name, the first at the top."""
    axes.set_yticks(range(len(names)), list(names), **name_style())
    axes.set_ylim(len(names) - 0.4, -0.6)


def percent(rate: float) -> str:
    """A rate from 0 to 1 in whole percent; halves go up, as a reader of 1/8 expects."""
    return f"{math.floor(100 * rate + 0.5)} %"


def quiet(axes: Axes, *, grid: Literal["x", "y"] | None = None) -> None:
    """Takes away the frame and ticks; draws a faint grid along `grid`."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)


def in_percent(axis: Any, every: float = 0.25) -> None:
    """Labels an axis of rates from 0 to 1 in percent."""
    axis.set_major_locator(MultipleLocator(every))
    axis.set_major_formatter(FuncFormatter(lambda rate, _: percent(rate)))


def title(axes: Axes, text: str, **style: Any) -> None:
    """Puts a heading over an axes, flush left."""
    axes.set_title(text, loc="left", **name_style(fontsize=TITLE, fontweight="bold", **style))

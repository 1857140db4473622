"""How every figure looks, and how it becomes SVG: one place for sizes, colours and bytes.

Colours are from Okabe and Ito's set, which the colour-blind tell apart; every model has a marker
and a line style too, so that a greyscale print loses nothing. Letters are drawn as outlines and
look the same on every machine. Figures are made through matplotlib's objects, never ``pyplot``,
so that nothing of the process is changed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PAGE_PT = 482.0
"""Width of the text of a printed page (170 mm)."""
SMALL, NORMAL = 8.0, 8.5
INK, SOFT, RULE, FILL = "#1a1a1a", "#595959", "#b3b3b3", "#ececec"

FONT = "DejaVu Sans"
"""Comes with matplotlib, and so is the same on every machine."""
_FURTHER = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
)
"""Asked for letters that DejaVu Sans lacks (a centre's name in Chinese), where installed."""

_STYLE: Any = {
    "font.size": SMALL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.4,
    "text.parse_math": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "metasight",
    "path.simplify": True,
    "figure.dpi": 72,
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of a model, the same in every figure."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()


REFERENCE = Look("#22456e", "s", (5.0, 1.6))
HEADLINE = Look("#c25100", "o")
_OTHERS = (
    Look("#009e73", "^", (1.2, 1.2)),
    Look("#a2487f", "D", (5.0, 1.2, 1.2, 1.2)),
    Look("#8a6d00", "v", (3.0, 1.0)),
    Look("#3288bd", "P", (2.0, 2.0)),
    Look("#6b6b6b", "X", (6.0, 2.0, 1.0, 2.0)),
)


def looks(models: Sequence[str], reference: str, headline: str) -> dict[str, Look]:
    """Look of every model; after five others they repeat, and labels tell them apart."""
    found: dict[str, Look] = {}
    others = 0
    for name in models:
        if name == headline:
            found[name] = HEADLINE
        elif name == reference:
            found[name] = REFERENCE
        else:
            found[name] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return found


@contextmanager
def canvas(width_pt: float, height_pt: float) -> Iterator[Canvas]:
    """A figure of a printed size, in the report's style."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context({**_STYLE, "font.family": list(families())}):
        yield Canvas(figsize=(width_pt / 72, height_pt / 72))


def place(figure: Canvas, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in points from the top left corner."""
    across, down = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )


def to_svg(figure: Canvas, anchor: str, title: str, alt: str) -> str:
    """A figure as one ``<svg>`` element that can stand beside others in a page.

    Identifiers get the anchor as a prefix (several figures share a page), and what would tell
    when or by what it was made is left out.
    """
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _missing_letters_as_boxes():
        figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r'\bid="', f'id="{anchor}-', text)
    text = re.sub(r'href="#', f'href="#{anchor}-', text)
    text = text.replace("url(#", f"url(#{anchor}-")
    text = re.sub(r"\n\s*\n+", "\n", re.sub(r"[ \t]+\n", "\n", text))
    head, body = text.split(">", 1)
    told = f'role="img" aria-labelledby="{anchor}-title {anchor}-desc"'
    names = (
        f'<title id="{anchor}-title">{escape(title)}</title>'
        f'<desc id="{anchor}-desc">{escape(alt)}</desc>'
    )
    return f"{head} {told}>{names}{body.strip()}"


@lru_cache(maxsize=4096)
def width_of(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Width of a line of text in points, as the figures set it.

    Kept, since breaking lines asks for the same words again and again.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=list(families()), size=size, weight="bold" if bold else "normal")
    with _missing_letters_as_boxes():
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


@cache
def families() -> tuple[str, ...]:
    """DejaVu Sans, and for letters that it lacks what the machine has."""
    from matplotlib.font_manager import fontManager

    installed = {f.name for f in fontManager.ttflist}
    return (FONT, *(name for name in _FURTHER if name in installed))


@contextmanager
def _missing_letters_as_boxes() -> Iterator[None]:
    """Draw a letter that no font has as a box: the words and the data have it all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from")
        yield


@cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def has_letters_for(text: str) -> bool:
    """Whether the fonts that come along can set a text."""
    return {ord(c) for c in text if not c.isspace()} <= _letters()


def wrap(text: str, width: float, size: float = SMALL, *, bold: bool = False) -> list[str]:
    """Lines no wider than ``width`` points; a word that is too long is broken."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        piece = word
        tried = f"{line} {piece}".strip()
        if width_of(tried, size, bold=bold) <= width:
            line = tried
            continue
        if line:
            lines.append(line)
        while width_of(piece, size, bold=bold) > width and len(piece) > 1:
            cut = max(
                (k for k in range(1, len(piece)) if width_of(piece[:k], size, bold=bold) <= width),
                default=1,
            )
            lines.append(piece[:cut])
            piece = piece[cut:]
        line = piece
    return [*lines, line] if line or not lines else lines


def spread_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near as may be to those wanted, at least ``gap`` apart, within limits."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [min(max(wanted[i], low), high) for i in order]
    for _ in range(200):
        moved = False
        for k in range(1, len(placed)):
            short = gap - (placed[k] - placed[k - 1])
            if short > 1e-9:
                placed[k - 1] -= short / 2
                placed[k] += short / 2
                moved = True
        over, under = placed[-1] - high if placed else 0, low - placed[0] if placed else 0
        if over > 1e-9:
            placed[-1] = high
            moved = True
        if under > 1e-9:
            placed[0] = low
            moved = True
        if not moved:
            break
    result = [0.0] * len(wanted)
    for k, i in enumerate(order):
        result[i] = placed[k]
    return result

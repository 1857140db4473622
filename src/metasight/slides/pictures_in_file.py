"""Several pictures in one TIFF: which of them is the slide.

Exports of VSI, CZI and SCN list the overview before the slide, and put the scenes of one glass into
one file. The largest picture is the slide where every other one is called a label or overview, or
shows the same at a smaller size; where another could be the slide, nothing is read before the study
says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import SlideError
from metasight.slides.tiff_index import DAMAGED, EXPORT_AGAIN
from metasight.slides.vocabulary import is_beside_the_slide

# tifffile tells the slide from its label and overview in these dialects; it comes first
_SLIDE_FIRST = {"svs", "qpi"}
_MOST_DECODED = 40_000_000  # pixels of a picture that is decoded to be compared
_SMALL = 48
_SAME_SHAPE = 0.03
_SAME_CONTENT = 0.9
_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class PictureInFile:
    """One picture of a file.

    Attributes
    ----------
    index
        Its place among tifffile's series, from 0.
    width, height
        Pixels of its first level.
    beside
        Whether it is called a label, macro image or overview.
    """

    index: int
    width: int
    height: int
    beside: bool

    @property
    def said(self) -> str:
        """Number and size, for a message; its name may be anything."""
        return f"{self.index + 1}: {self.width} × {self.height} pixels"


def chosen_picture(file: Any, name: str, asked: int | None) -> tuple[int, str]:
    """The series that is the slide, and what the ledger says of the choice.

    Parameters
    ----------
    file
        Open, of tifffile.
    name
        Of the slide, for messages.
    asked
        Number, from 1, that the study gives; None to choose.

    Raises
    ------
    SlideError
        Several pictures could be the slide, or there is none of the number that was asked for.
    """
    try:
        series = list(file.series)
        pictures = [p for i, s in enumerate(series) if (p := _picture(i, s)) is not None]
    except DAMAGED as error:
        raise SlideError(
            "the file's index is damaged",
            where=name,
            value=type(error).__name__,
            remedy=EXPORT_AGAIN,
        ) from error
    if asked is not None:
        return _asked(pictures, asked, name)
    if len(pictures) < 2 or series[0].kind in _SLIDE_FIRST:
        return 0 if not pictures else pictures[0].index, ""
    largest = max(pictures, key=lambda p: p.width * p.height)
    others = [p for p in pictures if p is not largest]
    rivals = [p for p in others if not _is_overview(series, largest, p)]
    if rivals:
        raise SlideError(
            f"the file holds {len(pictures)} pictures and more than one could be the slide",
            where=name,
            value=_list(sorted([largest, *rivals], key=lambda p: p.index)),
            remedy="Give the number of the slide in study.toml under [slides.picture_of], or on "
            "the command line as --picture; or export each as a file of its own",
        )
    return largest.index, f"{_read(largest)} as the slide; the others are its overviews or labels"


def _asked(pictures: list[PictureInFile], asked: int, name: str) -> tuple[int, str]:
    for picture in pictures:
        if picture.index + 1 == asked:
            note = f"{_read(picture)}, as the study asks" if len(pictures) > 1 else ""
            return picture.index, note
    raise SlideError(
        "the file has no picture of this number",
        where=name,
        value=str(asked),
        remedy=f"It holds {_list(pictures)}; correct [slides.picture_of] or --picture",
    )


def _read(picture: PictureInFile) -> str:
    size = f"{picture.width} × {picture.height} pixels"
    return f"picture {picture.index + 1} ({size}) is read"


def _list(pictures: list[PictureInFile]) -> str:
    more = f" and {len(pictures) - _LISTED} more" if len(pictures) > _LISTED else ""
    return "; ".join(p.said for p in pictures[:_LISTED]) + more


def _picture(index: int, series: Any) -> PictureInFile | None:
    size = dict(zip(series.axes, series.shape, strict=True))
    if min(size.get("X", 0), size.get("Y", 0)) < 1:
        return None
    return PictureInFile(
        index=index,
        width=size["X"],
        height=size["Y"],
        beside=is_beside_the_slide(str(series.name or "")),
    )


def _is_overview(series: list[Any], slide: PictureInFile, other: PictureInFile) -> bool:
    """Whether the other is called so, or shows what the slide shows at a smaller size."""
    if other.width * other.height >= slide.width * slide.height:
        return False
    if other.beside:
        return True
    if slide.beside:
        return False
    shapes = slide.width / slide.height, other.width / other.height
    if abs(shapes[0] / shapes[1] - 1) > _SAME_SHAPE:
        return False
    small = [_small(series[p.index], slide) for p in (slide, other)]
    if small[0] is None or small[1] is None:
        return False
    spread = min(float(s.std()) for s in small if s is not None)
    if spread < 1e-6:
        return False
    return bool(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] >= _SAME_CONTENT)


def _small(series: Any, slide: PictureInFile) -> npt.NDArray[np.float32] | None:
    """The picture's brightness on a grid of 48 pixels; None where it is too large to decode."""
    level = min(series.levels, key=lambda one: float(np.prod(one.shape)))
    if np.prod(level.shape, dtype=np.float64) > 3 * _MOST_DECODED:
        return None
    scale = _SMALL / max(slide.width, slide.height)
    size = max(round(slide.width * scale), 4), max(round(slide.height * scale), 4)
    try:
        pixels = np.asarray(level.asarray(), dtype=np.float32)
        light = pixels.mean(axis=tuple(i for i, a in enumerate(level.axes) if a not in "YX"))
        return np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    except (*DAMAGED, cv2.error):
        return None  # it cannot be compared, so that the study has to say which is the slide

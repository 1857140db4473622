"""A whole slide as a section to align: small enough, and as if seen in transmitted light."""

from __future__ import annotations

import numpy as np

from metasight.alignment.align import AlignmentSettings
from metasight.alignment.section import Section
from metasight.errors import SlideError
from metasight.slides.reader import RGB, PyramidReader, Region

_FINEST_MPP = 4.0
_SMALL_PX = 2048  # along a scanned field that is read at 4 µm; a larger one at the settings'


def section_of_slide(
    slide: PyramidReader, nuclear: str, settings: AlignmentSettings | None = None
) -> Section:
    """The slide at the resolution of alignment; fluorescence turned into absorption.

    Parameters
    ----------
    slide
        Open.
    nuclear
        Name of the nuclear channel, which fluorescence is aligned by.
    settings
        Of the alignment: a large section is read at its working resolution.

    Raises
    ------
    SlideError
        A fluorescence slide has no such channel.
    """
    full = slide.levels[0]
    longest = max(full.width, full.height) * slide.mpp
    asked = settings or AlignmentSettings()
    # the field holds glass too: twice the pixels that the tissue may have
    coarse = max(min(longest / _SMALL_PX, asked.finest_um), longest / (2 * asked.longest_px))
    mpp = max(_FINEST_MPP, slide.mpp, coarse)
    width, height = slide.size_at(mpp)
    pixels = slide.read(Region(x=0, y=0, width=width, height=height), mpp)
    if slide.channels != RGB:
        if nuclear not in slide.channels:
            raise SlideError(
                "the slide has no such nuclear channel",
                where=slide.name,
                value=nuclear,
                remedy=f"Name one of its channels: {', '.join(slide.channels)}",
            )
        at = slide.channels.index(nuclear)
        light = pixels[..., at].astype(np.float32)
        dark, bright = np.percentile(light, [2, 99.5])
        absorbed = np.clip((light - dark) / max(float(bright - dark), 1e-6), 0, 1)
        pixels = np.repeat((245 - 200 * absorbed).astype(np.uint8)[..., None], 3, axis=2)
    return Section(rgb=np.ascontiguousarray(pixels), mpp=mpp, name=slide.name)

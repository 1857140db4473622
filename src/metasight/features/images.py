"""Where the images of a cohort lie that networks read: patch features, crops, backbones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metasight.features.bags import BagFolder
from metasight.features.crops import CropFolder


@dataclass(frozen=True, kw_only=True)
class ImageFolders:
    """What models may read beside a feature table; nothing of it is part of what they learn.

    Attributes
    ----------
    bags
        Patch features of slides; None without.
    crops
        Crops of lesions; None without.
    weights
        sha256 → file of a pretrained backbone.
    work
        Folder in which an interrupted training leaves how far it was, and goes on; None: a
        training that is interrupted begins again.
    """

    bags: BagFolder | None = None
    crops: CropFolder | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    work: Path | None = None

"""Bags of patch features: one file a slide, in the HDF5 layout that TRIDENT and CLAM write.

Two arrays: ``features`` (n, d) and ``coords`` (n, 2), the left upper corner of each patch in
pixels of the slide's full resolution. Attributes say by which encoder, at which size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from metasight.errors import EncoderError

MODALITY = "embedding"
"""Modality whose one feature is the key of a patient's bag."""
ENCODER = "encoder"
PATCH_PX = "patch_size_level0"
SLIDE = "slide"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PatchFeatures:
    """Features of a slide's patches.

    Attributes
    ----------
    features
        ``(n, d)``, finite.
    coords
        ``(n, 2)``: x and y of each patch's corner, pixels of full resolution.
    patch_px
        Side of a patch in those pixels; 0 where the file does not say it.
    encoder
        Name and sha256 of the encoder; empty where the file does not say it.
    slide
        ``(n,)``: which of a patient's slides each patch lies on, 0 for the first; None for one.

    Raises
    ------
    EncoderError
        The arrays do not belong together, are empty, or hold a value that is no number.
    """

    features: Floats
    coords: npt.NDArray[np.int64]
    patch_px: int = 0
    encoder: str = ""
    slide: npt.NDArray[np.int64] | None = None
    where: str = "patch features"

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.features.ndim != 2 or self.coords.shape != (n, 2):
            raise EncoderError(
                "features and coords do not belong together",
                where=self.where,
                value=f"{self.features.shape} and {self.coords.shape}",
                remedy="Make the file again; both need one row a patch",
            )
        if n == 0:
            raise EncoderError(
                "the slide has no patch",
                where=self.where,
                remedy="Check its tissue; it may be empty",
            )
        wrong = int((~np.isfinite(self.features)).any(axis=1).sum())
        if wrong:
            raise EncoderError(
                "patch features hold values that are no number",
                where=self.where,
                value=f"{wrong} of {n} patches",
                remedy="Make the file again",
            )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def slides(self) -> npt.NDArray[np.int64]:
        """Which slide each patch lies on, shape (n,)."""
        return np.zeros(len(self), dtype=np.int64) if self.slide is None else self.slide

    def take(self, rows: npt.NDArray[np.intp]) -> PatchFeatures:
        """Some patches."""
        return replace(
            self,
            features=self.features[rows],
            coords=self.coords[rows],
            slide=None if self.slide is None else self.slide[rows],
        )


def write_patch_features(patches: PatchFeatures, path: Path) -> None:
    """Write a file that TRIDENT and CLAM read; the same patches give the same bytes."""
    with h5py.File(path, "w", track_order=False) as file:
        # Times of creation would make two files of the same patches differ.
        for name, values in (("features", patches.features), ("coords", patches.coords)):
            file.create_dataset(name, data=values, track_times=False)
        if patches.slide is not None:
            file.create_dataset(SLIDE, data=patches.slide, track_times=False)
        file["coords"].attrs[PATCH_PX] = patches.patch_px
        file["features"].attrs[ENCODER] = patches.encoder


def read_patch_features(path: Path, name: str) -> PatchFeatures:
    """Read a file of ours, of TRIDENT or of CLAM; messages call it ``name``.

    Raises
    ------
    EncoderError
        No such file, no HDF5 or a damaged one, a missing array, or as :class:`PatchFeatures`.
        HDF5 without Fletcher-32 carries no checksum of values: another bit in one is not noticed.
    """
    try:
        with h5py.File(path, "r") as file:
            lacking = [k for k in ("features", "coords") if k not in file]
            if lacking:
                raise EncoderError(
                    "the file has no such array",
                    where=name,
                    value=", ".join(lacking),
                    remedy="Give the HDF5 of features that TRIDENT or CLAM wrote",
                )
            for array in (k for k in ("features", "coords", SLIDE) if k in file):
                _require_own(file, array, name)
            features = np.asarray(file["features"][()])
            coords = np.asarray(file["coords"][()])
            patch_px = int(file["coords"].attrs.get(PATCH_PX, 0))
            encoder = str(file["features"].attrs.get(ENCODER, ""))
            slide = np.asarray(file[SLIDE][()], dtype=np.int64) if SLIDE in file else None
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:  # as HDF5 raises
        raise EncoderError(
            "the file of patch features cannot be read",
            where=name,
            value=type(error).__name__,
            remedy="Make it again",
        ) from error
    if features.ndim == 3 and len(features) == 1:  # early versions wrote a batch of one slide
        features = features[0]
    return PatchFeatures(
        features=features.astype(np.float32),
        coords=coords.astype(np.int64),
        patch_px=patch_px,
        encoder=encoder,
        slide=slide,
        where=name,
    )


def _require_own(file: h5py.File, array: str, name: str) -> None:
    """Refuse numbers that lie in another file, and arrays that no disk and no slide holds.

    Raises
    ------
    EncoderError
        As said.
    """
    link, data = file.get(array, getlink=True), file[array]
    elsewhere = isinstance(link, h5py.ExternalLink) or not isinstance(data, h5py.Dataset)
    if elsewhere or data.external or data.is_virtual:
        raise EncoderError(
            "the numbers of an array lie outside of the file",
            where=name,
            value=array,
            remedy="Copy the features into one file: h5repack does",
        )
    stored = data.id.get_storage_size()
    if data.nbytes > _MOST_BYTES or data.nbytes > max(_SMALL_BYTES, _MOST_UNPACKED * stored):
        raise EncoderError(
            "an array is larger than a slide's features are",
            where=name,
            value=f"{data.nbytes / 2**20:,.0f} MiB, {stored / 2**20:,.1f} of them in the file",
            remedy="Make the file again",
        )


_MOST_BYTES = 8 << 30  # a million patches of 2,048 features
_SMALL_BYTES, _MOST_UNPACKED = 64 << 20, 500  # constant values pack so far, features do not
_KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class BagFolder:
    """The bags of a cohort, read when a model asks.

    A bag's key is what a feature of kind ``bag`` holds. At most ``most_patches`` of a bag are
    read, evenly spread over its rows. Bags that were read are kept for the next fit up to 1 GiB
    in all; whoever reads a whole cohort takes one bag at a time.

    Attributes
    ----------
    folder
        Holds ``<key>.h5``.
    most_patches
        Of a bag.
    """

    folder: Path
    most_patches: int = 2000
    _kept: dict[str, PatchFeatures] = field(default_factory=dict, repr=False, compare=False)

    def read(self, key: str) -> PatchFeatures:
        """The bag of a key.

        Raises
        ------
        EncoderError
            As :func:`read_patch_features`.
        """
        if key not in self._kept:
            bag = read_patch_features(self.folder / f"{key}.h5", key)
            if len(bag) > self.most_patches:
                rows = np.linspace(0, len(bag) - 1, self.most_patches).round().astype(int)
                bag = bag.take(rows)
            held = sum(b.features.nbytes for b in self._kept.values())
            if held + bag.features.nbytes > _KEPT_BYTES:
                return bag
            self._kept[key] = bag
        return self._kept[key]


def join_bags(bags: list[PatchFeatures], name: str) -> PatchFeatures:
    """One bag of a patient's several slides.

    Coordinates stay those of each slide, whose number is kept; a patient is one bag.

    Raises
    ------
    EncoderError
        The slides were read by different encoders, or features differ in number.
    """
    dimensions = {b.features.shape[1] for b in bags}
    encoders = {b.encoder for b in bags}
    if len(dimensions) > 1 or len(encoders) > 1:
        raise EncoderError(
            "a patient's slides were read by different encoders",
            where=name,
            value=", ".join(sorted(encoders)) or str(sorted(dimensions)),
            remedy="Make all features with one encoder",
        )
    return PatchFeatures(
        features=np.concatenate([b.features for b in bags]),
        coords=np.concatenate([b.coords for b in bags]),
        patch_px=bags[0].patch_px,
        encoder=bags[0].encoder,
        where=name,
        slide=np.repeat(np.arange(len(bags)), [len(b) for b in bags]) if len(bags) > 1 else None,
    )

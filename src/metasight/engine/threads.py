"""One thread for what is to give the same bytes on every machine.

Sums in another order give other last digits: a network trained on two threads is not the one
trained on four. Steps run side by side instead, one a core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread of the processor; as before, afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

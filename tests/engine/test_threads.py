import pytest
import torch

from metasight.engine.threads import one_torch_thread


def test_one_thread_within_and_as_before_after():
    before = torch.get_num_threads()
    with one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="stop"), one_torch_thread():
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before

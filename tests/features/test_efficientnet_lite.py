"""The embedded encoder's parts: padding as TensorFlow has it, and normalisation folded in."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from metasight.features.efficientnet_lite import DIMENSION, EfficientNetLite0, _SameConv  # noqa: E402


@pytest.mark.parametrize(("size", "stride"), [(7, 1), (7, 2), (8, 2), (224, 2), (225, 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_gives_a_stride_th_of_the_pixels(size, stride, kernel):
    conv = _SameConv(2, 3, kernel, stride, groups=1)
    assert conv(torch.rand(1, 2, size, size)).shape[-1] == -(-size // stride)


def test_the_odd_pixel_of_padding_stands_on_the_right():
    """Eight pixels, a kernel of 3 that takes its first: the windows begin at 0, 2, 4 and 6."""
    conv = _SameConv(1, 1, 3, 2, groups=1)
    with torch.no_grad():
        conv.conv.weight.zero_()
        conv.conv.weight[0, 0, 0, 0] = 1.0
        conv.conv.bias.zero_()
    x = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert conv(x)[0, 0, 0].tolist() == [0.0, 2.0, 4.0, 6.0]


def test_batch_normalisation_is_folded_into_the_convolution():
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
    norm = torch.nn.BatchNorm2d(4, eps=1e-3).eval()
    for value in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(value.data if hasattr(value, "data") else value)
    norm.running_var.uniform_(0.5, 2.0)
    weights = {"c.weight": plain.weight.detach()}
    weights |= {f"n.{k}": v for k, v in norm.state_dict().items()}
    folded = _SameConv(3, 4, 3, 1, groups=1)
    folded.load(weights, "c", "n")
    assert weights == {}
    x = torch.rand(2, 3, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), norm(plain(x)), rtol=1e-4, atol=1e-5)


def test_a_kernel_of_another_shape_is_named():
    weights = {"c.weight": torch.zeros(4, 3, 5, 5)}
    weights |= {f"n.{p}": torch.ones(4) for p in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(KeyError, match=r"c\.weight has shape"):
        _SameConv(3, 4, 3, 1, groups=1).load(weights, "c", "n")


def test_features_of_any_tile_are_not_negative():
    torch.manual_seed(0)
    network = EfficientNetLite0()
    with torch.inference_mode():
        found = network(torch.randn(2, 3, 64, 64))
    assert found.shape == (2, DIMENSION)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 6


def test_weights_that_lack_a_layer():
    with pytest.raises(KeyError, match="_conv_stem"):
        EfficientNetLite0().load_published({})

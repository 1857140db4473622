"""Names of published weights translated: from timm and older transformers to one network."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from metasight.features.vit import VisionTransformer, VitShape, naming_of  # noqa: E402

SHAPE = VitShape(width=16, layers=2, heads=2, patch_px=14, tile_px=28, registers=2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    found = VisionTransformer(SHAPE)
    for value in found.parameters():  # so that no weight is 0 and a swap of two would show
        torch.nn.init.normal_(value, std=0.2)
    return found


def timm_of(network: VisionTransformer) -> dict[str, torch.Tensor]:
    """The network's weights under timm's names: query, key and value in one matrix."""
    own = network.network.state_dict()
    out = {
        "cls_token": own["embeddings.cls_token"],
        "reg_token": own["embeddings.register_tokens"],
        # without a position of the class token, as timm has it with registers
        "pos_embed": own["embeddings.position_embeddings"][:, 1:],
        "norm.weight": own["layernorm.weight"],
        "norm.bias": own["layernorm.bias"],
    }
    for kind in ("weight", "bias"):
        place = "embeddings.patch_embeddings.projection."
        out[f"patch_embed.proj.{kind}"] = own[place + kind]
    for k in range(SHAPE.layers):
        layer = f"encoder.layer.{k}"
        for kind in ("weight", "bias"):
            three = [own[f"{layer}.attention.{p}_proj.{kind}"] for p in "qkv"]
            out[f"blocks.{k}.attn.qkv.{kind}"] = torch.cat(three)
            out[f"blocks.{k}.attn.proj.{kind}"] = own[f"{layer}.attention.o_proj.{kind}"]
            for part in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                out[f"blocks.{k}.{part}.{kind}"] = own[f"{layer}.{part}.{kind}"]
        for part in ("1", "2"):
            out[f"blocks.{k}.ls{part}.gamma"] = own[f"{layer}.layer_scale{part}.lambda1"]
    return out


def test_timms_names_give_the_same_features(network):
    with torch.no_grad():
        # timm adds no position to the class token
        network.network.embeddings.position_embeddings[:, :1] = 0
    other = VisionTransformer(SHAPE)
    other.load_published(timm_of(network))
    tiles = torch.rand((3, 3, 28, 28))
    with torch.inference_mode():
        torch.testing.assert_close(other(tiles), network(tiles))


def test_names_of_transformers_are_taken_as_they_are(network):
    state = network.network.state_dict()
    assert naming_of(state) == "transformers"
    other = VisionTransformer(SHAPE)
    other.load_published(state)
    tiles = torch.rand((2, 3, 28, 28))
    with torch.inference_mode():
        torch.testing.assert_close(other(tiles), network(tiles))


def test_pooling_joins_the_class_token_and_the_mean_of_the_patches(network):
    from dataclasses import replace

    joined = replace(SHAPE, pooling="class token and mean of patches")
    assert (SHAPE.dimension, joined.dimension) == (16, 32)
    other = VisionTransformer(joined)
    other.load_published(network.network.state_dict())
    tiles = torch.rand((2, 3, 28, 28))
    with torch.inference_mode():
        tokens = network.network(pixel_values=tiles).last_hidden_state
        found = other(tiles)
    torch.testing.assert_close(found[:, :16], tokens[:, 0])
    # behind the class token and two registers
    torch.testing.assert_close(found[:, 16:], tokens[:, 3:].mean(dim=1))


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_weights_that_do_not_fit_are_named(network, change):
    weights = timm_of(network)
    if change == "missing":
        del weights["blocks.1.norm1.bias"]
        problem = "missing: encoder.layer.1.norm1.bias"
    elif change == "left over":
        weights["head.weight"] = torch.zeros(2, 16)
        problem = "left over: head.weight"
    else:
        weights["norm.weight"] = torch.zeros(8)
        problem = r"layernorm.weight has shape \(8,\), not \(16,\)"
    with pytest.raises(KeyError, match=problem):
        VisionTransformer(SHAPE).load_published(weights)


def test_names_of_neither():
    with pytest.raises(KeyError, match="neither as timm nor"):
        naming_of({"conv.weight": torch.zeros(1)})

"""Encoders: the embedded one against what ImageNet says, transformers against timm's own sums."""

import hashlib

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from torch.nn import functional

from metasight.errors import EncoderError
from metasight.features.efficientnet_lite import EfficientNetLite0
from metasight.features.encoders import _embedded, cards, load_encoder, read_weights
from metasight.features.vit import VisionTransformer, VitShape


def test_the_embedded_network_knows_a_cat():
    """ImageNet's class 285 is the Egyptian cat, 281 and 282 are tabby and tiger cat."""
    weights = torch.load(_embedded(), weights_only=True)
    network = EfficientNetLite0()
    network.load_published(weights)
    cat = cv2.resize(data.chelsea()[:, 60:360], (224, 224), interpolation=cv2.INTER_AREA)
    pixels = (torch.tensor(cat).permute(2, 0, 1)[None].float() - 127) / 128
    with torch.inference_mode():
        scores = network(pixels) @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert set(scores.topk(3).indices[0].tolist()) == {281, 282, 285}


def test_the_embedded_encoder_gives_the_same_numbers_twice():
    tiles = np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3)).astype(np.uint8)
    first, second = (load_encoder().embed(tiles) for _ in range(2))
    assert first.shape == (3, 1280)
    assert first.tobytes() == second.tobytes()


# ------------------------------------------------------------------ timm's forward pass, by hand


def timm_checkpoint(shape, *, seed, own_position):
    """Random weights named and shaped as timm keeps them."""
    draw = torch.Generator().manual_seed(seed)

    def r(*size):
        return torch.randn(*size, generator=draw) * 0.2

    d, patches = shape.width, (shape.tile_px // shape.patch_px) ** 2
    hidden = (int(4 * d * 2 / 3) + 7) // 8 * 8 if shape.swiglu else 4 * d
    weights = {
        "cls_token": r(1, 1, d),
        "pos_embed": r(1, patches + own_position, d),
        "patch_embed.proj.weight": r(d, 3, shape.patch_px, shape.patch_px),
        "patch_embed.proj.bias": r(d),
        "norm.weight": r(d),
        "norm.bias": r(d),
    }
    if shape.registers:
        weights["reg_token"] = r(1, shape.registers, d)
    for k in range(shape.layers):
        weights |= {
            f"blocks.{k}.{name}": r(*size)
            for name, size in {
                "norm1.weight": (d,),
                "norm1.bias": (d,),
                "norm2.weight": (d,),
                "norm2.bias": (d,),
                "attn.qkv.weight": (3 * d, d),
                "attn.qkv.bias": (3 * d,),
                "attn.proj.weight": (d, d),
                "attn.proj.bias": (d,),
                "ls1.gamma": (d,),
                "ls2.gamma": (d,),
                "mlp.fc1.weight": (hidden * (1 + shape.swiglu), d),
                "mlp.fc1.bias": (hidden * (1 + shape.swiglu),),
                "mlp.fc2.weight": (d, hidden),
                "mlp.fc2.bias": (d,),
            }.items()
        }
    return weights


def timm_forward(w, shape, pixels):
    """What timm's VisionTransformer computes, written out."""
    d = shape.width
    x = functional.conv2d(
        pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=shape.patch_px
    )
    x = x.flatten(2).transpose(1, 2)
    head = w["cls_token"].expand(len(x), -1, -1)
    if w["pos_embed"].shape[1] == x.shape[1]:  # no_embed_class
        x = x + w["pos_embed"]
    else:
        head = head + w["pos_embed"][:, :1]
        x = x + w["pos_embed"][:, 1:]
    registers = w.get("reg_token", torch.zeros(1, 0, d)).expand(len(x), -1, -1)
    x = torch.cat([head, registers, x], dim=1)
    for k in range(shape.layers):
        b = {
            n.removeprefix(f"blocks.{k}."): v for n, v in w.items() if n.startswith(f"blocks.{k}.")
        }
        y = functional.layer_norm(x, (d,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        q, key, v = (y @ b["attn.qkv.weight"].T + b["attn.qkv.bias"]).chunk(3, dim=-1)
        split = [t.unflatten(-1, (shape.heads, -1)).transpose(1, 2) for t in (q, key, v)]
        weight = (split[0] @ split[1].transpose(-1, -2) / (d // shape.heads) ** 0.5).softmax(-1)
        y = (weight @ split[2]).transpose(1, 2).flatten(2)
        x = x + b["ls1.gamma"] * (y @ b["attn.proj.weight"].T + b["attn.proj.bias"])
        y = functional.layer_norm(x, (d,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        y = y @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"]
        if shape.swiglu:
            gate, up = y.chunk(2, dim=-1)
            y = functional.silu(gate) * up
        else:
            y = functional.gelu(y)
        x = x + b["ls2.gamma"] * (y @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"])
    x = functional.layer_norm(x, (d,), w["norm.weight"], w["norm.bias"], 1e-6)
    if shape.pooling == "class token":
        return x[:, 0]
    return torch.cat([x[:, 0], x[:, 1 + shape.registers :].mean(1)], dim=1)


@pytest.mark.parametrize("name", [n for n, c in cards().items() if c.shape is not None])
def test_a_small_network_of_each_shape_computes_what_timm_computes(name):
    """The shape of each published encoder, made narrow and two layers deep."""
    full = cards()[name].shape
    shape = VitShape(
        width=48,
        layers=2,
        heads=3,
        patch_px=full.patch_px,
        tile_px=full.patch_px * 4,
        registers=full.registers,
        swiglu=full.swiglu,
        pooling=full.pooling,
    )
    weights = timm_checkpoint(shape, seed=1, own_position=not full.registers)
    network = VisionTransformer(shape)
    network.load_published(weights)
    pixels = torch.randn(2, 3, shape.tile_px, shape.tile_px)
    with torch.inference_mode():
        expected = timm_forward(weights, shape, pixels)
        found = network(pixels)
    assert found.shape == (2, shape.dimension)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_names_of_older_transformers_are_read_as_well():
    shape = VitShape(width=48, layers=1, heads=3, tile_px=56, swiglu=True)
    network = VisionTransformer(shape)
    own = {k: torch.randn_like(v) for k, v in network.network.state_dict().items()}
    own["embeddings.mask_token"] = torch.zeros_like(own["embeddings.mask_token"])
    old = {}
    for key, value in own.items():
        name = key
        for new, former in (
            ("q_proj", "attention.query"),
            ("k_proj", "attention.key"),
            ("v_proj", "attention.value"),
            ("o_proj", "output.dense"),
            ("down_proj", "weights_out"),
        ):
            name = name.replace(new, former)
        if "gate_proj" in name:
            up = own[key.replace("gate_proj", "up_proj")]
            old[name.replace("gate_proj", "weights_in")] = torch.cat([value, up])
        elif "up_proj" not in name and "register_tokens" not in name:
            old[name] = value
    network.load_published(old)
    for key, value in network.network.state_dict().items():
        assert torch.equal(value, own[key]), key


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("norm.bias"), "missing: layernorm.bias"),
        (lambda w: w.update(extra=torch.zeros(1)), "left over: extra"),
        (lambda w: w.update({"cls_token": torch.zeros(1, 1, 47)}), "has shape"),
    ],
)
def test_weights_must_fit_exactly(change, told):
    shape = VitShape(width=48, layers=1, heads=3, tile_px=56)
    weights = timm_checkpoint(shape, seed=2, own_position=True)
    change(weights)
    with pytest.raises(KeyError, match=told):
        VisionTransformer(shape).load_published(weights)


# ------------------------------------------------------------------ files


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_of_another_encoder_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(EncoderError, match=r"not of this encoder.*Give the weights of phikon-v2"):
        load_encoder("phikon-v2", path, sha256_of(path))


def test_a_wrong_sha256_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(EncoderError, match="not the one that the study names"):
        read_weights(path, "0" * 64, "midnight")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_damaged_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x80\x02 not tensors")
    with pytest.raises(EncoderError, match="cannot be read as tensors"):
        read_weights(path, sha256_of(path), "midnight")


def test_a_file_of_objects_is_not_unpacked(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(EncoderError, match="cannot be read as tensors"):
        read_weights(path, sha256_of(path), "midnight")


def test_what_is_missing_is_said():
    with pytest.raises(EncoderError, match=r"not given.*CC BY-NC-ND"):
        load_encoder("uni2-h")
    with pytest.raises(EncoderError, match="unknown encoder"):
        load_encoder("uni3")
    with pytest.raises(EncoderError, match="224 × 224"):
        load_encoder().embed(np.zeros((1, 256, 256, 3), np.uint8))


def test_every_licence_is_shown_and_restrictions_are_said():
    known = cards()
    assert all(c.licence for c in known.values())
    assert {n for n, c in known.items() if "no commercial use" in c.licence} == {
        "h0-mini",
        "uni2-h",
        "phikon-v2",
    }

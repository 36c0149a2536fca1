"""The networks of the study: timm's vision transformer, and the CIFAR forms of ResNet and WideResNet."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from looksam.errors import UserError


def build(model: Mapping[str, Any], dataset: Mapping[str, Any]) -> nn.Module:
    """The network that maps images [B, channels, height, width] of the data set to logits [B, classes].

    model, dataset: rows of `config/models.yaml` and `config/datasets.yaml`. The weights are drawn from
    torch's global random numbers.
    """
    return ARCHITECTURES[model["architecture"]](model, dataset)


def facts(model: Mapping[str, Any]) -> dict[str, str]:
    """What Table 9 prints of a vision transformer, read off the network itself, built without weights."""
    imagenet = {"height": 224, "width": 224, "channels": 3, "classes": 1000}
    with torch.device("meta"):
        network: Any = build(model, imagenet)
    patch_height, patch_width = network.patch_embed.patch_size
    return {
        "params_millions": f"{sum(p.numel() for p in network.parameters()) / 1e6:.0f}",
        "patch_resolution": f"{patch_height}x{patch_width}",
        "sequence_length": str(network.patch_embed.num_patches),
        "hidden_size": str(network.embed_dim),
        "heads": str(network.blocks[0].attn.num_heads),
        "layers": str(len(network.blocks)),
    }


def vit(model: Mapping[str, Any], dataset: Mapping[str, Any]) -> nn.Module:
    """timm's VisionTransformer: class token, learned positions. Dosovitskiy et al. 2021.

    drop_path, where the row has it: how often the last block is skipped. Huang et al. 2016, stochastic depth.
    """
    for size in ("height", "width"):
        if dataset[size] % model["patch_size"]:
            raise UserError(
                f"patch_size {model['patch_size']} of {model['name']} does not divide {size} "
                f"{dataset[size]}; change it in config/models.yaml"
            )
    if model["dim"] % model["heads"]:
        raise UserError(
            f"heads {model['heads']} of {model['name']} do not divide dim {model['dim']}; "
            "change them in config/models.yaml"
        )
    # timm costs two seconds to import, which the conv nets need not pay
    from timm.models.vision_transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        img_size=(dataset["height"], dataset["width"]),
        in_chans=dataset["channels"],
        num_classes=dataset["classes"],
        patch_size=model["patch_size"],
        embed_dim=model["dim"],
        depth=model["depth"],
        num_heads=model["heads"],
        drop_path_rate=model.get("drop_path", 0.0),
    )
    return network


def resnet(model: Mapping[str, Any], dataset: Mapping[str, Any]) -> nn.Module:
    """ResNet for small images: a 3x3 stem without pooling, then the stages. He et al. 2016."""
    block = Bottleneck if model["bottleneck"] else Basic
    width = model["width"]
    stages = []
    channels = width
    for stage, blocks in enumerate(model["blocks"]):
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            stages.append(block(channels, width * 2**stage, stride))
            channels = width * 2**stage * block.expansion
    return nn.Sequential(
        _conv(dataset["channels"], width, 3),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        *stages,
        *_head(channels, dataset["classes"]),
    )


def wrn(model: Mapping[str, Any], dataset: Mapping[str, Any]) -> nn.Module:
    """Wide residual network WRN-depth-width with pre-activation blocks. Zagoruyko and Komodakis 2016."""
    blocks, remainder = divmod(model["depth"] - 4, 6)
    if remainder or blocks < 1:
        raise UserError(f"a WRN's depth is 6n + 4 (10, 16, 22, 28, ...), got {model['depth']}")
    channels = 16
    stages = []
    for stage in range(3):
        out_channels = 16 * model["width"] * 2**stage
        for index in range(blocks):
            stages.append(PreActivation(channels, out_channels, 2 if stage > 0 and index == 0 else 1))
            channels = out_channels
    return nn.Sequential(
        _conv(dataset["channels"], 16, 3),
        *stages,
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        *_head(channels, dataset["classes"]),
    )


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], nn.Module]] = {
    "vit": vit,
    "resnet": resnet,
    "wrn": wrn,
}


def _conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Convolution that keeps the image's size (divided by the stride), without bias, He-initialised."""
    conv = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _head(channels: int, classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Identity, or a projection where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut (ResNet-18)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _conv(in_channels, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _conv(width, width, 3),
            nn.BatchNorm2d(width),
        )
        self.shortcut = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, in_channels, H, W] to [B, width, H / stride, W / stride]."""
        return relu(self.residual(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (ResNet-50)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.residual = nn.Sequential(
            _conv(in_channels, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _conv(width, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _conv(width, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, in_channels, H, W] to [B, 4 width, H / stride, W / stride]."""
        return relu(self.residual(x) + self.shortcut(x))


class PreActivation(nn.Module):
    """BatchNorm and ReLU before each of two 3x3 convolutions (WRN); a projection sees them too."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU())
        self.residual = nn.Sequential(
            _conv(in_channels, out_channels, 3, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            _conv(out_channels, out_channels, 3),
        )
        same = stride == 1 and in_channels == out_channels
        self.projection = None if same else _conv(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride]."""
        activated = self.activation(x)
        residual: Tensor = self.residual(activated)
        return residual + (x if self.projection is None else self.projection(activated))

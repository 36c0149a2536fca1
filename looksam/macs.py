"""Multiply-accumulates and parameters of a network, from its row in config/models.yaml and without torch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Row = Mapping[str, Any]


class Layer(NamedTuple):
    """A layer's multiply-accumulates for one image, and its parameters."""

    macs: int
    parameters: int


def forward(model: Row, dataset: Row) -> int:
    """Multiply-accumulates of one image's forward pass, as matrix products and convolutions have them.

    model, dataset: rows of config/models.yaml and config/datasets.yaml. Norms, activations and softmax, which
    take no matrix unit, are not counted.
    """
    return sum(layer.macs for layer in LAYERS[model["architecture"]](model, dataset))


def parameters(model: Row, dataset: Row) -> int:
    """How many numbers training changes."""
    return sum(layer.parameters for layer in LAYERS[model["architecture"]](model, dataset))


def vit(model: Row, dataset: Row) -> Iterator[Layer]:
    """Patches, blocks of attention and a 4-fold MLP, head; one class token, learned positions."""
    dim, patch = model["dim"], model["patch_size"]
    patches = dataset["height"] // patch * (dataset["width"] // patch)
    tokens = patches + 1
    values = dataset["channels"] * patch**2
    yield linear(values, dim, patches)
    yield Layer(0, dim + tokens * dim)
    for _ in range(model["depth"]):
        yield from (norm(dim), linear(dim, 3 * dim, tokens))
        # query x key and attention x value, over all heads
        yield Layer(2 * tokens**2 * dim, 0)
        yield from (linear(dim, dim, tokens), norm(dim))
        yield from (linear(dim, 4 * dim, tokens), linear(4 * dim, dim, tokens))
    yield from (norm(dim), linear(dim, dataset["classes"]))


def resnet(model: Row, dataset: Row) -> Iterator[Layer]:
    """A 3x3 stem, then stages of basic or bottleneck blocks, a projection where the shape changes."""
    size, channels = (dataset["height"], dataset["width"]), model["width"]
    yield from (conv(dataset["channels"], channels, 3, size), norm(channels))
    for stage, blocks in enumerate(model["blocks"]):
        width = model["width"] * 2**stage
        out_channels = width * (4 if model["bottleneck"] else 1)
        for index in range(blocks):
            before, strided = size, stage > 0 and index == 0
            size = halved(size) if strided else size
            if model["bottleneck"]:
                yield from (conv(channels, width, 1, before), norm(width))
                yield from (conv(width, width, 3, size), norm(width))
                yield from (conv(width, out_channels, 1, size), norm(out_channels))
            else:
                yield from (conv(channels, width, 3, size), norm(width))
                yield from (conv(width, width, 3, size), norm(width))
            if strided or channels != out_channels:
                yield from (conv(channels, out_channels, 1, size), norm(out_channels))
            channels = out_channels
    yield linear(channels, dataset["classes"])


def wrn(model: Row, dataset: Row) -> Iterator[Layer]:
    """A 3x3 stem of 16 channels, three stages of pre-activation blocks, a last norm and the head."""
    size, channels = (dataset["height"], dataset["width"]), 16
    yield conv(dataset["channels"], channels, 3, size)
    for stage in range(3):
        width = 16 * model["width"] * 2**stage
        for index in range((model["depth"] - 4) // 6):
            strided = stage > 0 and index == 0
            size = halved(size) if strided else size
            yield from (norm(channels), conv(channels, width, 3, size))
            yield from (norm(width), conv(width, width, 3, size))
            if strided or channels != width:
                yield conv(channels, width, 1, size)
            channels = width
    yield from (norm(channels), linear(channels, dataset["classes"]))


LAYERS: dict[str, Callable[[Row, Row], Iterator[Layer]]] = {"vit": vit, "resnet": resnet, "wrn": wrn}


def linear(inputs: int, outputs: int, positions: int = 1) -> Layer:
    """A matrix and its bias, at so many positions of an image."""
    return Layer(positions * inputs * outputs, inputs * outputs + outputs)


def conv(in_channels: int, out_channels: int, kernel: int, size: tuple[int, int]) -> Layer:
    """A convolution without bias. size: height and width of what it puts out."""
    weights = in_channels * out_channels * kernel**2
    return Layer(size[0] * size[1] * weights, weights)


def norm(channels: int) -> Layer:
    """Scale and shift of a BatchNorm or LayerNorm."""
    return Layer(0, 2 * channels)


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width behind a stride of 2, odd ones rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2

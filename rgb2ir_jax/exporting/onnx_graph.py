"""A folded TSN written as an ONNX graph, operator by operator.

Opset 17, which onnxruntime 1.12 (2022) and later run. Convolutions and pooling mean in ONNX what they
mean in torchvision, explicit padding included, so that every module becomes one operator.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rgb2ir_jax.exporting.onnx_enhancement import add_enhancement
from rgb2ir_jax.models.enhancement.stage import Enhancement
from rgb2ir_jax.models.temporal_shift import DIVISOR
from rgb2ir_jax.models.tsn import TSN
from rgb2ir_jax.prediction.description import StudentDescription

OPSET = 17
# The one of opset 17's time: what the installed onnx would write, older runtimes refuse.
_IR_VERSION = 8
_MAP_TO_PLANES = (3, 2, 0, 1)


class _Graph:
    """Nodes and constants as they come; each operator's output is named after it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name


def onnx_model(
    network: TSN, description: StudentDescription, enhancement: Enhancement | None = None
) -> onnx.ModelProto:
    """Writes the graph and has onnx check it.

    Its input `frames` is (batch, time, height, width, channel), uint8 or with
    `description.preprocessing` unset float32; its output `logits` is float32 (batch, class). `batch`
    is free, and so is `time` where there is no temporal shift.

    Args:
        network: with BatchNorm folded, see `models.folding`.
        description: read are `crop`, `preprocessing`, `mean`, `std` and `train_segments`.
        enhancement: of uint8 frames, before they are normalised.
    """
    graph, side = _Graph(), description.crop
    time: int | str = description.train_segments if description.temporal_shift else "time"
    x = _pictures(graph, description, enhancement)
    resnet = network.network
    x = graph.add("Relu", [_convolution(graph, x, resnet.conv1, "conv1")], "relu")
    x = graph.add("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    size = _halved(_halved(side))
    for number, blocks in enumerate(
        (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4), 1
    ):
        for position, block in enumerate(blocks):
            name = f"layer{number}.{position}"
            x = _block(graph, x, block, name, (description.train_segments, size))
            size = _halved(size) if number > 1 and position == 0 else size
    x = graph.add("GlobalAveragePool", [x], "avgpool")
    x = graph.add("Flatten", [x], "features")
    classifier: Any = resnet.fc
    weight = graph.constant("fc.weight", classifier.kernel[...], np.float32)
    bias = graph.constant("fc.bias", classifier.bias[...], np.float32)
    x = graph.add("Gemm", [x, weight, bias], "frame_logits")
    classes = len(description.class_names)
    shape = graph.add(
        "Concat", ["clips", graph.constant("classes", [classes], np.int64)], "by_clip", axis=0
    )
    x = graph.add("Reshape", [x, shape], "clip_logits")
    graph.add("ReduceMean", [x], "logits", axes=[1], keepdims=0)

    channels = description.channels if description.preprocessing else description.in_channels
    kind = TensorProto.UINT8 if description.preprocessing else TensorProto.FLOAT
    frames = helper.make_tensor_value_info("frames", kind, ["batch", time, side, side, channels])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "student", [frames], [logits], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="rgb2ir_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _halved(size: int) -> int:
    """What a stride of two leaves of a side, whatever the (symmetrically padded) kernel."""
    return (size + 1) // 2


def _pictures(
    graph: _Graph, description: StudentDescription, enhancement: Enhancement | None
) -> str:
    """Frames as one batch of planes (frame, channel, height, width), enhanced and normalised."""
    side = description.crop
    channels = description.channels if description.preprocessing else description.in_channels
    shape = graph.add("Shape", ["frames"], "shape")
    begin, end = (graph.constant(name, [n], np.int64) for name, n in (("begin", 0), ("end", 2)))
    graph.add("Slice", [shape, begin, end], "clips")
    together = graph.constant("together", [-1, side, side, channels], np.int64)
    x = graph.add("Reshape", ["frames", together], "pictures")
    if not description.preprocessing:
        return graph.add("Transpose", [x], "planes", perm=[0, 3, 1, 2])
    x = graph.add("Cast", [x], "floats", to=TensorProto.FLOAT)
    x = graph.add("Transpose", [x], "planes", perm=[0, 3, 1, 2])
    white = 255.0
    if enhancement is not None:
        x = graph.add("Div", [x, graph.constant("white", 255, np.float32)], "pixels")
        x = add_enhancement(graph, x, enhancement, channels)
        white = 1.0
    # One grey plane and the means of three channels make three channels, by broadcasting.
    mean, std = (np.asarray(v, np.float64) for v in (description.mean, description.std))
    scale = graph.constant("scale", (1 / (white * std)).reshape(1, -1, 1, 1), np.float32)
    offset = graph.constant("offset", (-mean / std).reshape(1, -1, 1, 1), np.float32)
    return graph.add("Add", [graph.add("Mul", [x, scale], "scaled"), offset], "normalised")


def _convolution(graph: _Graph, x: str, module: Any, name: str) -> str:
    if module.bias is None:
        raise ValueError(f"{name} has no bias: fold the network's BatchNorm first")
    kernel = np.asarray(module.kernel[...], np.float32)
    weight = graph.constant(f"{name}.weight", kernel.transpose(_MAP_TO_PLANES), np.float32)
    bias = graph.constant(f"{name}.bias", module.bias[...], np.float32)
    (top, bottom), (left, right) = module.padding
    return graph.add(
        "Conv",
        [x, weight, bias],
        name,
        kernel_shape=list(kernel.shape[:2]),
        strides=list(module.strides),
        pads=[top, left, bottom, right],
    )


def _block(graph: _Graph, x: str, block: Any, name: str, clip: tuple[int, int]) -> str:
    """A residual block; `clip` is (frames of a clip, side of the map that comes in)."""
    shortcut = x
    if hasattr(block, "downsample"):
        shortcut = _convolution(graph, x, block.downsample.conv, f"{name}.downsample")
    if block.shift:
        x = _temporal_shift(graph, x, block.conv1.in_features, name, clip)
    convolutions = [key for key in ("conv1", "conv2", "conv3") if hasattr(block, key)]
    for key in convolutions:
        x = _convolution(graph, x, getattr(block, key), f"{name}.{key}")
        if key != convolutions[-1]:
            x = graph.add("Relu", [x], f"{name}.{key}.relu")
    return graph.add("Relu", [graph.add("Add", [x, shortcut], f"{name}.sum")], name)


def _temporal_shift(graph: _Graph, x: str, channels: int, name: str, clip: tuple[int, int]) -> str:
    """See `models.temporal_shift`."""
    segments, side = clip
    fold = channels // DIVISOR
    if fold == 0:
        return x

    def constant(what: str, *numbers: int) -> str:
        return graph.constant(f"{name}.{what}", numbers, np.int64)

    axes = constant("axes", 1, 2)

    def part(what: str, first: tuple[int, int], last: tuple[int, int]) -> str:
        bounds = [constant(f"{what}.first", *first), constant(f"{what}.last", *last)]
        return graph.add("Slice", [clips, *bounds, axes], f"{name}.{what}")

    def padded(what: str, before: int, after: int) -> str:
        pads = constant(f"{what}.pads", 0, before, 0, 0, 0, 0, after, 0, 0, 0)
        return graph.add("Pad", [f"{name}.{what}", pads], f"{name}.{what}.padded")

    by_clip = constant("by_clip", -1, segments, channels, side, side)
    clips = graph.add("Reshape", [x, by_clip], f"{name}.clips")
    part("later", (1, 0), (segments, fold))
    part("earlier", (0, fold), (segments - 1, 2 * fold))
    rest = part("rest", (0, 2 * fold), (segments, channels))
    parts = [padded("later", 0, 1), padded("earlier", 1, 0), rest]
    joined = graph.add("Concat", parts, f"{name}.joined", axis=2)
    return graph.add(
        "Reshape", [joined, constant("by_frame", -1, channels, side, side)], f"{name}.shifted"
    )

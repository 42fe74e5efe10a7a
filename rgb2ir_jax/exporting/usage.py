"""The parts of a model card that tell how to load and call what was exported."""

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.prediction.description import StudentDescription

_CONSENSUS = "A clip's logits are the mean of its frames' logits."


def enhancement_usage(spec: NetworkSpec, weights: str = "") -> list[str]:
    """What is done to the frames before the network sees them; nothing where nothing is.

    Args:
        spec: of the network.
        weights: name of the file of Zero-DCE's weights.
    """
    if spec.enhancement is None:
        return []
    if spec.enhancement.name == "gamma":
        text = (
            f"Frames in [0, 1] are raised to the power 1 / {spec.enhancement.gamma:g} (gamma intensity "
            "correction), then normalised."
        )
    else:
        text = (
            f"Frames in [0, 1] go through Zero-DCE, then are normalised. Its weights are in `{weights}`, which "
            "belongs beside the description, under the names of the authors' code "
            "(github.com/Li-Chongyi/Zero-DCE, `enhance_net_nopool`): without it the logits are others. "
            "Infrared goes in as three equal channels, and the mean of the three that come out goes on."
        )
    return [f"## Enhancement\n\n{text} `spec.normalise` of this project does both."]


def pytorch_usage(spec: NetworkSpec, weights: str) -> str:
    """How PyTorch reads the tensors.

    Args:
        spec: of the network.
        weights: name of the file.
    """
    shift = (
        "\n\nThe temporal shift has no tensors: put it in front of each block's `conv1` "
        "(TSM's `blockres` placement), or the logits are others."
        if spec.temporal_shift
        else ""
    )
    if spec.is_video_network:
        return _video_usage(spec, weights)
    if spec.width != 64:
        return (
            "## In PyTorch\n\n"
            f"Names and layouts are torchvision's, but torchvision has no ResNet of width {spec.width}. "
            "The project's docs/weights.md has one in forty lines; then\n\n"
            "    from safetensors.torch import load_file\n"
            f"    net = ResNet({spec.depth}, {spec.num_classes}, width={spec.width}, "
            f"in_channels={spec.in_channels}, stride_in_1x1={spec.stride_in_1x1})\n"
            f'    net.load_state_dict(load_file("{weights}"), strict=True)\n'
            f"    net.eval()\n\n{_CONSENSUS}{shift}"
        )
    return (
        "## In PyTorch\n\n"
        "    import torch, torchvision\n"
        "    from safetensors.torch import load_file\n"
        f"    net = torchvision.models.resnet{spec.depth}(num_classes={spec.num_classes})"
        f"{_stem(spec)}{_strides(spec)}\n"
        f'    net.load_state_dict(load_file("{weights}"), strict=True)\n'
        f"    net.eval()\n\n{_CONSENSUS}{shift}"
    )


def _video_usage(spec: NetworkSpec, weights: str) -> str:
    text = (
        "## In PyTorch\n\n"
        "Names and layouts are those of torchvision's `VideoResNet`, whose input is (clip, channel, time, "
        "height, width)"
    )
    differences = []
    if spec.depth == 34:
        differences.append(
            "the 34 layers are `r2plus1d_34` of github.com/moabitcoin/ig65m-pytorch, which needs no more than "
            "torchvision (other middle channels, epsilon 1e-3)"
        )
    if spec.width != 64:
        differences.append(f"the width is {spec.width} where torchvision knows 64")
    if spec.in_channels != 3:
        differences.append(f"`stem.0` takes {spec.in_channels} input channels")
    if spec.temporal_head == "bert":
        differences.append(
            "the tensors `bert.*` belong to the head between the last stage and `fc`, see "
            "rgb2ir_jax/models/bert_head.py"
        )
    if differences:
        return f"{text}; {'; '.join(differences)}."
    return (
        f"{text}.\n\n"
        "    import torchvision\n"
        "    from safetensors.torch import load_file\n"
        f"    net = torchvision.models.video.r2plus1d_18(num_classes={spec.num_classes})\n"
        f'    net.load_state_dict(load_file("{weights}"), strict=True)\n'
        "    net.eval()"
    )


def _stem(spec: NetworkSpec) -> str:
    if spec.in_channels == 3:
        return ""
    return (
        "\n    net.conv1 = torch.nn.Conv2d("
        f"{spec.in_channels}, 64, kernel_size=7, stride=2, padding=3, bias=False)"
    )


def _strides(spec: NetworkSpec) -> str:
    if not spec.stride_in_1x1 or spec.depth < 50:
        return ""
    return (
        "\n    for stage in (net.layer2, net.layer3, net.layer4):  # Version 1.\n"
        "        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)"
    )


def here_usage(spec: NetworkSpec, weights: str) -> str:
    """How this project reads the tensors."""
    return (
        "## In rgb2ir_jax\n\n"
        "    from pathlib import Path\n"
        "    from rgb2ir_jax.models.pretrained import read_network\n"
        f'    spec, network = read_network(Path("{weights}"))\n'
        "    output = network(spec.normalise(clips), train=False)  # clips: uint8 (clip, time, h, w, "
        f"{spec.in_channels})\n\n"
        "or, from pictures of any size to class names,\n\n"
        "    from rgb2ir_jax import load_student\n"
        f'    labels, probabilities = load_student("{weights}")(frames)  # uint8 (time, h, w, c)'
    )


def stablehlo_usage(description: StudentDescription, program: str) -> str:
    """How JAX alone runs the program."""
    return (
        "## In JAX, without rgb2ir_jax\n\n"
        "    pip install jax flatbuffers\n\n"
        "    import jax\n"
        "    from pathlib import Path\n"
        f'    student = jax.export.deserialize(bytearray(Path("{program}").read_bytes()))\n'
        "    logits = jax.jit(student.call)(frames)\n\n"
        f"{_interface(description)}"
    )


def onnx_usage(description: StudentDescription, program: str) -> str:
    """How onnxruntime runs the graph."""
    return (
        "## In onnxruntime\n\n"
        "    pip install onnxruntime\n\n"
        "    import onnxruntime\n"
        f'    session = onnxruntime.InferenceSession("{program}")\n'
        '    (logits,) = session.run(None, {"frames": frames})\n\n'
        f"{_interface(description)}"
    )


def _interface(description: StudentDescription) -> str:
    time = str(description.train_segments) if description.temporal_shift else "time"
    side = description.crop
    if description.preprocessing:
        kind, channels = "uint8, 0 to 255", description.channels
    else:
        kind, channels = "float32, normalised as above", description.in_channels
    return (
        f"`frames` is {kind}, (batch, {time}, {side}, {side}, {channels}); `logits` is float32 "
        f"(batch, {len(description.class_names)}), averaged over the frames of a clip. "
        "BatchNorm is folded into the convolutions."
    )

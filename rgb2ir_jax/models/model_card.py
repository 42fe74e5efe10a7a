"""The page that goes with published weights: what they are, how good, how to load them, what binds them.

Its form is that of Mitchell et al., "Model cards for model reporting", arXiv:1810.03993, as far as a run
knows; the header is Hugging Face's metadata.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rgb2ir_jax.models.network import NetworkSpec, network_title

# Paths of the machine that trained: they help nobody else.
_PRIVATE = ("dir", "cache", "checkpoint", "teachers")


def model_card(
    spec: NetworkSpec,
    run: Mapping[str, Any],
    phase: Mapping[str, Any],
    *,
    usage: Sequence[str],
    synthetic: bool,
) -> str:
    """Writes the card as Markdown.

    Args:
        spec: of the network.
        run: the run's `result.json`.
        phase: the network's own `result.json`.
        usage: the sections that tell how to load and call it, see `exporting.usage`.
        synthetic: whether the footage was rendered and not filmed.
    """
    data_set = f"{phase['data_set']}{' (synthetic footage)' if synthetic else ''}"
    parts = [
        _header(data_set, spec),
        f"# {spec.title}{'' if spec.is_video_network else ' TSN'} for action recognition in {_modality(spec)} video",
        _warnings(phase, synthetic),
        _summary(spec, run, phase, data_set),
        _metrics(phase, synthetic),
        _input(spec, run["config"]),
        *usage,
        _classes(phase["class_names"]),
        _licence(data_set, run["config"], synthetic),
        _config(run["config"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _modality(spec: NetworkSpec) -> str:
    return {"ir": "infrared", "rgb": "colour"}.get(spec.modality, spec.modality)


def _header(data_set: str, spec: NetworkSpec) -> str:
    return "\n".join(
        (
            "---",
            "license: other",
            "library_name: rgb2ir-jax",
            "pipeline_tag: video-classification",
            f"tags: [action-recognition, {_modality(spec)}, knowledge-distillation]",
            f"datasets: [{json.dumps(data_set)}]",
            "---",
        )
    )


def _warnings(phase: Mapping[str, Any], synthetic: bool) -> str:
    lines = []
    if synthetic:
        lines.append(
            "> **Synthetic.** This network has seen rendered footage only. Its numbers say nothing about "
            "real cameras, and it is of no use on them."
        )
    if phase["limited"]:
        lines.append(
            "> **Cut short.** The training or the test was limited to a part of the clips; the numbers "
            "are those of a trial."
        )
    return "\n>\n".join(lines)


def _summary(
    spec: NetworkSpec, run: Mapping[str, Any], phase: Mapping[str, Any], data_set: str
) -> str:
    student = phase["network"] == "student"
    methods = run["methods"] if student else {}
    method = (
        "cross-entropy and " + ", ".join(f"{name} (weight {w:g})" for name, w in methods.items())
        if methods
        else "cross-entropy alone"
    )
    if methods:
        teacher = run["config"]["teacher"]
        method += f"; teacher: {network_title(teacher)} on {teacher['modality']}"
    shift = ", temporal shift" if spec.temporal_shift else ""
    strides = " (version 1: stride in the first 1x1 convolution)" if spec.stride_in_1x1 else ""
    consensus = (
        "one logit vector a clip"
        if spec.is_video_network
        else f"one logit vector a frame, averaged over the segments of a clip (TSN){shift}"
    )
    rows = {
        "Network": f"{spec.title}{strides}, width {spec.width}, {consensus}",
        "Parameters": f"{phase['parameters']:,}",
        "Modality": f"{spec.sees}, {spec.in_channels} input channel{'s' * (spec.in_channels > 1)}",
        "Data set": data_set,
        "Method": method,
        "Role in the run": f"{phase['network']}, variant `{phase['variant']}` of `{phase['config_name']}`",
        "Training": f"{phase['steps']:,} steps, seed {phase['seed']}",
        "Software": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }
    return "\n".join(("| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())))


def _metrics(phase: Mapping[str, Any], synthetic: bool) -> str:
    kind = "synthetic test clips" if synthetic else "test clips"
    rows = (
        ("top-1", phase["top1"]),
        ("top-5", phase["top5"]),
        ("mean accuracy of the classes", phase["mean_class_accuracy"]),
    )
    return "\n".join(
        (
            "## Results",
            "",
            f"After the last step, on {phase['clips_tested']} {kind}, one view each:",
            "",
            "| metric | percent |",
            "|---|---|",
            *(f"| {name} | {100 * value:.2f} |" for name, value in rows),
        )
    )


def _input(spec: NetworkSpec, config: Mapping[str, Any]) -> str:
    data = config["data"]
    frames = f"{data['segments']} frames, evenly spread over the clip"
    if data.get("sampling") == "dense":
        frames = (
            f"{data['segments']} frames, {data['frame_stride']} apart, from the middle of the clip"
        )
    return (
        "## Input\n\n"
        f"{frames}, short side resized to {data['resize']} "
        f"pixels, the middle {data['crop']}x{data['crop']} of it. A value is ({_pixel(spec)} - mean) / std "
        f"with mean {_numbers(spec.mean)} and std {_numbers(spec.std)}, one for each channel."
    )


def _pixel(spec: NetworkSpec) -> str:
    if spec.enhancement is None:
        return "pixel / 255"
    if spec.enhancement.name == "gamma":
        return f"(pixel / 255) ** (1 / {spec.enhancement.gamma:g})"
    return "Zero-DCE(pixel / 255)"


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _classes(names: Sequence[str]) -> str:
    listed = "\n".join(f"{index}. {name}" for index, name in enumerate(names))
    return f"## Classes\n\nIn the order of the logits, counted from 0:\n\n{listed}"


def _licence(data_set: str, config: Mapping[str, Any], synthetic: bool) -> str:
    if synthetic:
        terms = (
            f"The footage of {data_set} was rendered by the project itself, so no owner of recordings has "
            "a say; the project's licence (Apache-2.0) holds for these weights."
        )
    else:
        terms = (
            f"The terms of {data_set} bind whatever was trained on it. NTU RGB+D and PKU-MMD, for one, are "
            "handed out for academic research, not for commercial use. Read the owners' terms before you "
            "share or use these weights; the project's own licence covers its code."
        )
    sources = sorted(
        {
            _basename(config[who].get("init") or "")
            for who in ("teacher", "student")
            if config[who].get("init")
        }
    )
    if sources:
        terms += (
            f" The run started from other weights ({', '.join(sources)}); their terms, and those of what "
            "they were trained on (ImageNet's are non-commercial research), come on top."
        )
    return f"## Licence\n\n{terms}"


def _basename(path: str) -> str:
    return PurePath(path).name


def _config(config: Mapping[str, Any]) -> str:
    public = json.dumps(_without_private(config), indent=2)
    return (
        f"## Config\n\nFolders of the machine that trained are left out.\n\n```json\n{public}\n```"
    )


def _without_private(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_private(value)
        if isinstance(value, Mapping)
        else _basename(value)
        if key in ("init", "enhance_weights") and isinstance(value, str)
        else value
        for key, value in section.items()
        if key not in _PRIVATE
    }

"""Configs whose networks cannot see the streams that they ask for are refused, each by its field."""

import json

import pytest

from configs import demo, ntu, paired_video, pku_mmd
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.source import describe
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.phases import phase_config, phase_names, with_streams
from rgb2ir_jax.training.saving.workdir import claim
from rgb2ir_jax.training.validation import apply_smoke, flatten, validate


@pytest.mark.parametrize("source", [ntu, demo, pku_mmd, paired_video])
def test_the_variant_is_valid_everywhere_and_reads_three_kinds_of_clips(source):
    config = source.get_config("tstdd")
    validate(config)
    validate(apply_smoke(config))
    before = flatten(config)
    names = phase_names(config, given_teacher=False)
    assert names == ["frame", "differences", "global_image"]
    parts = {name: phase_config(config, name) for name in names}
    for name, part in parts.items():
        validate_data(part.data)
        assert part.variant == f"tstdd-{name}"
        assert set(part) - set(config) == {name}
        assert set(with_streams(config)) - set(config) == set(names)
    assert flatten(config) == before
    sizes = {
        name: (part.data.sampling, part.data.segments, part.data.get("snippet"))
        for name, part in parts.items()
    }
    segments = config.data.segments
    assert sizes == {
        "frame": ("segments", segments, None),
        "differences": ("snippets", segments, 6),
        "global_image": ("segments", 16, None),
    }
    frame = flatten(parts["frame"])
    student = flatten(source.get_config("student"))
    assert {k: v for k, v in frame.items() if not k.startswith("frame.")} == {
        **student,
        "variant": "tstdd-frame",
    }
    config.tstdd.local = "flow"
    flow = phase_config(config, "flow")
    assert (flow.data.flow, flow.data.snippet) == (True, 6)
    assert NetworkSpec.from_config(flow.flow, 10).in_channels == 10


@pytest.mark.parametrize("variant", ["teacher", "student", "mgcam+dkd"])
def test_networks_that_see_frames_have_the_runs_own_config(variant):
    config = ntu.get_config(variant)
    assert with_streams(config) is config
    for name in phase_names(config, given_teacher=False):
        assert phase_config(config, name) is config
    expected = {"mgcam+dkd": ["teacher", "student"]}.get(variant, [variant])
    assert phase_names(config, given_teacher=False) == expected
    assert phase_names(config, given_teacher=True) == (["student"] if "+" in variant else [variant])


@pytest.mark.parametrize(
    ("variant", "fields", "message"),
    [
        ("student", {"stream": "motion"}, r"student\.stream is 'motion', expected one of 'frame', 'diff"),
        ("student", {"stream_length": 0}, r"student\.stream_length is 0, expected a whole number from 1"),
        ("student", {"stream_length": 33}, "from 1 to 32"),
        ("student", {"stream_length": True}, r"student\.stream_length is True, expected"),
        ("student", {"global_frames": 1}, r"student\.global_frames is 1, expected a whole .* from 2 to"),
        ("dkd", {"stream": "differences"}, "variant 'dkd' distils"),
        ("student", {"stream": "flow", "backbone": "r2plus1d_18"}, "backbone is 'r2plus1d_18'"),
        ("student", {"stream": "flow", "temporal_shift": True}, r"student\.temporal_shift is True"),
        ("student", {"stream": "flow", "enhance": "gamma"}, r"student\.enhance is 'gamma'"),
        ("student", {"stream": "differences", "data.sampling": "dense"}, r"data\.sampling is 'dense'"),
        ("student", {"stream": "global_image", "evaluation.segments": 25}, r"segments is 25; expected 0"),
        ("student", {"stream": "flow", "data.on_device": True}, r"on_device is True, and optical flow"),
        ("student", {"stream": "flow", "data.crop": 8}, r"crop is 8, and optical flow needs at least 12"),
        ("tstdd", {"stream": "differences"}, "variant 'tstdd' trains a student of each stream"),
        ("tstdd", {"backbone": "r2plus1d_18"}, "backbone is 'r2plus1d_18'"),
        ("tstdd", {"data.sampling": "dense"}, r"data\.sampling is 'dense'; expected 'segments'"),
        ("tstdd", {"tstdd.local": "flow", "data.on_device": True}, "computed on the host alone"),
        ("tstdd", {"tstdd.local": "frame"}, r"tstdd\.local is 'frame', expected one of 'differences'"),
        ("tstdd", {"tstdd.fusion": "svm"}, r"tstdd\.fusion is 'svm', expected one of 'probabilities'"),
        ("tstdd", {"tstdd.weights": (1.0, 1.0)}, r"tstdd\.weights is \(1\.0, 1\.0\), expected three"),
        ("tstdd", {"tstdd.weights": (0.0, 0.0, 0.0)}, r"config\.tstdd\.weights are .* not all 0"),
        ("tstdd", {"teacher.checkpoint": "x"}, "variant 'tstdd' has no teacher"),
        ("tstdd", {"variant": "dkd"}, r"config\.distill holds no method"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(variant, fields, message):
    config = ntu.get_config(variant)
    named = {name if "." in name or name == "variant" else f"student.{name}": value
             for name, value in fields.items()}  # fmt: skip
    with config.unlocked():
        config.update_from_flattened_dict(named)
    with pytest.raises(ValueError, match=message) as caught:
        validate(config)
    assert len(str(caught.value).splitlines()) == 1


def test_a_teacher_alone_does_not_mind_and_several_segments_suit_three_streams():
    config = ntu.get_config("teacher")
    config.student.stream, config.student.temporal_shift = "flow", True
    validate(config)
    config = ntu.get_config("tstdd")
    config.evaluation.segments = 25
    validate(config)
    assert phase_config(config, "global_image").evaluation.segments == 0
    assert phase_config(config, "differences").evaluation.segments == 25


def test_configs_of_before_see_frames():
    config = ntu.get_config("student")
    with config.unlocked():
        for field in ("stream", "stream_length", "global_frames"):
            del config.student[field]
        del config["tstdd"]
        validate(config)
        assert phase_config(config, "student") is config
    config = ntu.get_config("tstdd")
    with config.unlocked():
        del config["tstdd"]
        with pytest.raises(ValueError, match=r"config\.tstdd\.local is missing"):
            validate(config)


def test_a_run_of_before_goes_on_and_another_stream_is_another_run(tiny_config, data_dir, tmp_path):
    config = tiny_config("student")
    with config.unlocked():
        config.data.dir = str(data_dir)
    data_set = describe(config.data)
    claim(tmp_path, config, data_set)
    noted = json.loads((tmp_path / "config.json").read_text())
    for field in ("stream", "stream_length", "global_frames"):
        del noted["student"][field]
    del noted["tstdd"]
    (tmp_path / "config.json").write_text(json.dumps(noted))
    claim(tmp_path, config, data_set)
    with config.unlocked():
        # Of another variant, which this run does not read.
        config.tstdd.weights = (1.0, 2.0, 3.0)
    claim(tmp_path, config, data_set)
    with config.unlocked():
        config.student.stream = "differences"
    with pytest.raises(ValueError, match=r"student\.stream is 'differences', the run's is None"):
        claim(tmp_path, config, data_set)

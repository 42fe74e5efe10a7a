"""The owners' zip archives, folders, and both mixed, give the same records."""

import hashlib
import json
import pathlib
import zipfile

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
from data_builders.recording.report import FootageError, TooManyBadClipsError

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def build(manual_dir, data_dir, config="ten_class_xsub"):
    builder = Builder(data_dir=data_dir, config=config)
    builder.workers = 0
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)


def report(builder):
    return json.loads((pathlib.Path(builder.data_dir) / "build_report.json").read_text())


def digest(builder):
    """A hash of all that the records hold."""
    content = hashlib.sha256()
    for split in ("train", "test"):
        for record in builder.as_data_source(split=split):
            for name in sorted(record):
                for part in record[name] if name in ("rgb", "ir") else [record[name]]:
                    content.update(np.asarray(part).tobytes() + name.encode())
    return content.hexdigest()


def zip_by_setup(footage_dir, out, modalities=("rgb", "ir"), inner="nturgb+d_{}/"):
    """Packs videos as the owners do: one archive a set-up and modality."""
    out.mkdir(exist_ok=True, parents=True)
    for modality in modalities:
        for path in sorted(footage_dir.rglob(f"*_{modality}.avi")):
            archive = out / f"nturgbd_{modality}_{path.name[:4].lower()}.zip"
            with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
                packed.write(path, inner.format(modality) + path.name)
    return out


@pytest.fixture(scope="module")
def from_folders(footage_dir, tmp_path_factory):
    return digest(build(footage_dir, tmp_path_factory.mktemp("from_folders")))


def test_archives_give_the_same_records(footage_dir, tmp_path, from_folders):
    before = {path.name for path in zip_by_setup(footage_dir, tmp_path / "in").iterdir()}
    assert "nturgbd_rgb_s002.zip" in before
    assert digest(build(tmp_path / "in", tmp_path / "out")) == from_folders
    assert {path.name for path in (tmp_path / "in").iterdir()} == before


def test_archives_and_folders_mixed_give_the_same_records(footage_dir, tmp_path, from_folders):
    """One modality packed below strange folders, the other half unpacked, half packed."""
    zip_by_setup(footage_dir, tmp_path / "in" / "deep" / "er", ["ir"], "x/y/")
    for i, path in enumerate(sorted(footage_dir.rglob("*_rgb.avi"))):
        if i % 2:
            (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
        else:
            with zipfile.ZipFile(tmp_path / "in" / "rest.zip", "a") as packed:
                packed.write(path, path.name)
    assert digest(build(tmp_path / "in", tmp_path / "out")) == from_folders


def test_copies_are_counted_and_change_nothing(footage_dir, tmp_path, from_folders):
    zip_by_setup(footage_dir, tmp_path / "in")
    for path in footage_dir.rglob("*.avi"):
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    builder = build(tmp_path / "in", tmp_path / "out")
    assert digest(builder) == from_folders
    assert len(report(builder)["notes"]["copies_left_aside"]) == 16


def test_members_that_would_escape_are_read_and_nothing_is_written(
    footage_dir, tmp_path, from_folders
):
    place = tmp_path / "a" / "b" / "in"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / "all.zip", "w") as packed:
        for path in sorted(footage_dir.rglob("*.avi")):
            packed.writestr(zipfile.ZipInfo(f"../../{path.name}"), path.read_bytes())
        packed.writestr(zipfile.ZipInfo(".._rgb.avi"), b"")
    assert digest(build(place, tmp_path / "out")) == from_folders
    assert [p for p in tmp_path.rglob("*") if p.suffix == ".avi"] == []


def test_nested_archives_are_named_and_not_read(footage_dir, tmp_path):
    zip_by_setup(footage_dir, tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as packed:
        for path in (tmp_path / "in").iterdir():
            packed.write(path, path.name)
    (tmp_path / "nested").mkdir()
    (tmp_path / "outer.zip").rename(tmp_path / "nested" / "outer.zip")
    with pytest.raises(FootageError, match="archives within archives, which are not read"):
        build(tmp_path / "nested", tmp_path / "out")


def test_a_truncated_archive_is_named(footage_dir, tmp_path):
    zip_by_setup(footage_dir, tmp_path / "in")
    broken = tmp_path / "in" / "nturgbd_ir_s002.zip"
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(TooManyBadClipsError, match="1 archives could not be read"):
        build(tmp_path / "in", tmp_path / "out")
    patient = Builder.builder_config_cls(
        name="patient", num_classes=10, max_bad_fraction=0.3, description="Patient."
    )
    found = report(build(tmp_path / "in", tmp_path / "out", patient))
    assert "nturgbd_ir_s002.zip: cannot be read" in found["notes"]["unreadable_archives"][0]
    assert len(found["skipped"]) == 2


@pytest.mark.parametrize(
    ("config", "protocol_field", "train"),
    [
        ("all120_xsub", "performer", {1, 2, 38, 103}),
        ("all120_xsetup", "setup", {2, 18, 32}),
    ],
)
def test_the_configs_of_120_classes(footage, tmp_path, config, protocol_field, train):
    samples = [
        "S001C001P001R001A001", "S002C001P002R001A060", "S018C002P041R002A061",
        "S032C003P106R001A120", "S005C001P038R001A010", "S019C001P103R001A109",
    ]  # fmt: skip
    for sample in samples:
        footage.write_sample(tmp_path / "in", sample, 3, 3)
    builder = build(tmp_path / "in", tmp_path / "out", config)
    seen = []
    for split in ("train", "test"):
        for record in builder.as_data_source(split=split):
            seen.append(record["sample_id"].decode())
            assert (record[protocol_field] in train) == (split == "train")
            assert seen[-1].endswith(f"A{record['label'] + 1:03}")
    assert sorted(seen) == sorted(samples)
    assert builder.info.features["label"].num_classes == 120
    assert "2020" in builder.info.citation

"""The page that shows a built data set: what is in it, what is odd, and what the networks will see."""

import statistics as stats
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from ml_collections import ConfigDict

from rgb2ir_jax.data.source import DatasetDescription
from rgb2ir_jax.reporting import charts
from rgb2ir_jax.reporting.build_report import BuildReportFile, build_report_body
from rgb2ir_jax.reporting.data_sets.statistics import (
    DataStatistics,
    FieldValue,
    size_on_disk,
)
from rgb2ir_jax.reporting.data_sets.strips import STYLE
from rgb2ir_jax.reporting.page import (
    Markup,
    Notice,
    contents,
    element,
    facts,
    join,
    notices,
    page,
    section,
    table,
)
from rgb2ir_jax.video.modalities import name_of

_MOST_BARS = 200


def data_page(
    description: DatasetDescription,
    statistics: DataStatistics,
    report: BuildReportFile,
    found: Sequence[Notice],
    samples: Markup,
    data: ConfigDict,
) -> str:
    """Puts the page together.

    Args:
        description: The data set.
        statistics: Of its records.
        report: What its builder said.
        found: The warnings.
        samples: The section of sample strips.
        data: `config.data`, for the numbers that the text tells.

    Returns:
        The HTML.
    """
    title = f"{description.name}/{description.config}"
    parts = [
        ("classes", "Clips of each class", _class_counts(statistics)),
        ("fields", "People, cameras and other fields", _fields(statistics)),
        ("lengths", "Lengths", _lengths(statistics)),
        ("pictures", "Pictures", _pictures(statistics)),
        ("build", "Build report", build_report_body(report)),
        ("samples", "What the networks see", samples),
    ]
    there = [(anchor, heading, body) for anchor, heading, body in parts if body]
    return page(
        f"{title}: data",
        element("h1", title),
        element("p", _one_line(statistics), class_="quiet"),
        contents([(anchor, heading) for anchor, heading, _ in there]),
        section("warnings", "Warnings", notices(found)),
        section("about", "About", _about(description, statistics, data)),
        [section(*part) for part in there],
        style=STYLE,
    )


def _one_line(statistics: DataStatistics) -> str:
    sizes = " + ".join(f"{size:,} {split}" for split, size in statistics.split_sizes.items())
    return f"{sizes} clips of {len(statistics.class_names)} classes, {_all(statistics)}"


def _all(statistics: DataStatistics) -> str:
    return " and ".join(map(name_of, statistics.modalities))


def _title(modality: str) -> str:
    name = name_of(modality)
    return name[0].upper() + name[1:]


def _about(description: DatasetDescription, statistics: DataStatistics, data: ConfigDict) -> Markup:
    files, size = size_on_disk(description.directory)
    first = statistics.modalities[0]
    seconds = sum(clip.videos[first].seconds or 0.0 for clip in statistics.clips)
    unread = {n: c for n, c in description.num_clips.items() if n not in statistics.split_sizes}
    return facts(
        [
            ("Data set", description.name),
            ("Config", description.config),
            ("Version", description.version),
            ("Folder", str(description.directory)),
            ("On disk", f"{_bytes(size)} in {files:,} files"),
            ("Classes", f"{len(statistics.class_names)}"),
            ("Clips", ", ".join(f"{n:,} {s}" for s, n in statistics.split_sizes.items())),
            (
                "Not shown here",
                ", ".join(f"{n:,} {s}" for s, n in unread.items()) or None,
            ),
            ("Footage", f"{_duration(seconds)} of {name_of(first)}" if seconds else None),
            (
                "Seen as",
                f"{data.segments} frames a clip, short side {data.resize}, crop {data.crop} pixels",
            ),
        ]
    )


def _duration(seconds: float | int) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _bytes(size: float | int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size:.0f} bytes"
        size /= 1000
    return f"{size:.3g} TB"


def _class_counts(statistics: DataStatistics) -> Markup:
    rows = [
        charts.BarRow(name, counts, _split_text(statistics.splits, counts))
        for name, counts in zip(
            statistics.class_names, statistics.class_counts.T.tolist(), strict=True
        )
    ]
    return join(charts.legend(statistics.splits), charts.bars(rows))


def _split_text(splits: Sequence[str], counts: Sequence[int]) -> str:
    if len(splits) == 1:
        return f"{counts[0]:,}"
    return " + ".join(f"{count:,}" for count in counts)


def _fields(statistics: DataStatistics) -> Markup | None:
    if not statistics.field_names:
        return None
    return join(
        charts.legend(statistics.splits),
        [_field(statistics, name) for name in statistics.field_names],
    )


def _field(statistics: DataStatistics, name: str) -> Markup:
    counts = statistics.field_counts(name)
    clips = len(statistics.clips)
    given = sum(map(sum, counts.values()))
    heading = element("h3", name.capitalize())
    missing = clips - given
    of = f" Not told: {missing:,} of {clips:,} clips." if missing else ""
    usual = name in ("performer", "camera", "view", "setup")
    if len(counts) > _MOST_BARS or (not usual and len(counts) > max(12, given / 4)):
        most = max(map(sum, counts.values()))
        text = f"{len(counts):,} different values, at most {most:,} clips of one.{of}"
        return join(heading, element("p", text))
    rows = [
        charts.BarRow(_value(value), split_counts, _where(statistics.splits, split_counts))
        for value, split_counts in counts.items()
    ]
    narrow = all(len(str(value)) <= 8 for value in counts)
    return join(
        heading,
        element("p", f"{len(counts):,} values.{of}", class_="quiet small"),
        charts.bars(rows, narrow=narrow),
    )


def _value(value: FieldValue) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _where(splits: Sequence[str], counts: Sequence[int]) -> str:
    there = [f"{count:,} {split}" for split, count in zip(splits, counts, strict=True) if count]
    return " + ".join(there)


def _lengths(statistics: DataStatistics) -> Markup:
    figures = []
    for unit, label in (("frames", "length (frames)"), ("seconds", "length (seconds)")):
        series = {m: _by_split(statistics, m, unit) for m in statistics.modalities}
        values = [v for of in series.values() for v in of.values() if len(v)]
        if not values:
            continue
        # Both modalities on one scale, so that the eye can compare them.
        edges = charts.bin_edges(np.concatenate(values))
        figures += [
            charts.histogram(
                of, title=f"{_title(m)}: {unit}",
                x_label=label, y_label="clips", edges=edges,
            )
            for m, of in series.items()
            if any(map(len, of.values()))
        ]  # fmt: skip
    if len(statistics.modalities) < 2:
        return join(charts.legend(statistics.splits), element("div", figures, class_="charts"))
    one, other = statistics.modalities[:2]
    frames = {m: _by_split(statistics, m, "frames") for m in (one, other)}
    differences = {s: frames[one][s] - frames[other][s] for s in statistics.splits}
    everything = np.concatenate(list(differences.values()))
    if everything.any():
        equal = int((everything == 0).sum())
        text = (
            f"{len(everything) - equal:,} of {len(everything):,} pairs differ in their count of frames "
            f"(by {np.abs(everything).max():,} at most). Frames are read at the same share of both videos, "
            "so that this does no harm where the recordings began and ended together."
        )
        figures.append(
            charts.histogram(
                differences,
                title=f"{_title(one)} minus {name_of(other)}",
                x_label="difference (frames)",
                y_label="clips",
            )
        )
    else:
        text = (
            f"{_title(one)} and {name_of(other)} have the same count of frames in all {len(everything):,} "
            "pairs."
        )
    return join(
        element("p", text),
        charts.legend(statistics.splits),
        element("div", figures, class_="charts"),
    )


def _by_split(statistics: DataStatistics, modality: str, unit: str) -> dict[str, np.ndarray]:
    values: dict[str, list[float]] = {split: [] for split in statistics.splits}
    for clip in statistics.clips:
        value = getattr(clip.videos[modality], unit)
        if value is not None:
            values[clip.split].append(value)
    kind = np.int64 if unit == "frames" else np.float64
    return {split: np.asarray(of, kind) for split, of in values.items()}


def _pictures(statistics: DataStatistics) -> Markup:
    columns = []
    for modality in statistics.modalities:
        videos = [clip.videos[modality] for clip in statistics.clips]
        frames = [video.frames for video in videos]
        stored = sum(video.jpeg_bytes for video in videos)
        columns.append(
            [
                _most_common(f"{v.size[1]} x {v.size[0]}" for v in videos if v.size),
                _most_common(f"{v.rate:.4g}/s" for v in videos if v.rate),
                f"{min(frames):,} to {max(frames):,}, median {stats.median(frames):,.0f}",
                _bytes(stored / sum(frames)),
                _bytes(stored / len(videos)),
            ]
        )
    names = ("Width x height (clips)", "Frame rate (clips)", "Frames", "A frame", "A clip")
    headings = ["", *map(_title, statistics.modalities)]
    return table(headings, zip(names, *columns, strict=True))


def _most_common(texts: Iterable[str], most: int = 4) -> str:
    counts = Counter(texts)
    if not counts:
        return "not told"
    shown = [f"{text} ({count:,})" for text, count in counts.most_common(most)]
    if len(counts) > most:
        shown.append(f"{len(counts) - most} more")
    return ", ".join(shown)

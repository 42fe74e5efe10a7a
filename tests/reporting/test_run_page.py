"""The report: its numbers by hand, the paper's where they belong, and whatever a file may hold."""

import html.parser
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.reporting.runs.groups import compare_runs
from rgb2ir_jax.reporting.runs.page import report_page
from rgb2ir_jax.reporting.runs.record import Curve, Phase, Run
from rgb2ir_jax.reporting.runs.tables import published_values
from rgb2ir_jax.reporting.runs.warnings import find_warnings

NAMES = ["wave", "sit", "jump"]
NTU = "ntu_rgbd_ir/ten_class_xsub"


class Text(html.parser.HTMLParser):
    """The words of a page, its tags and the rows of its tables."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.rows, self._style = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._style = tag == "style"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._style = False
        if tag == "table":
            self.rows.append([])

    def handle_data(self, data):
        if self._style:
            return
        self.words.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += f" {data}"

    def row(self, *start):
        """The first row whose first cells are these."""
        return next(
            cells
            for cells in ([c.strip() for c in row] for row in self.rows)
            if tuple(cells[: len(start)]) == start
        )


def make_run(variant, seed, confusion, *, data=NTU, synthetic=False, **more):
    network = "teacher" if variant == "teacher" else "student"
    confusion = np.asarray(confusion)
    entry = {
        "network": network,
        "variant": variant,
        "modality": "rgb" if network == "teacher" else "ir",
        "seed": seed,
        "top1": float(np.trace(confusion) / confusion.sum()),
        "data_set": data,
        "synthetic": synthetic,
        "clips_tested": int(confusion.sum()),
        "seconds": 90.0,
        "parameters": 2_500_000,
        "peak_memory": {"bytes": 3 * 2**29, "of": "process"},
        "class_names": NAMES,
        "metrics": {"confusion": confusion.tolist(), "mAP_classification": 0.5},
        **more.pop("entry", {}),
    }
    curves = {
        "test/top1": Curve([(5.0, 0.1), (10.0, 0.2)]),
        "train/dkd": Curve([(5.0, 3.0), (10.0, 2.0)]),
        "train/dkd_weighted": Curve([(5.0, 3.0), (10.0, 2.0)]),
        "clips_per_second": Curve([(5.0, 1.0), (8.0, 30.0), (10.0, 34.0)]),
    }
    config = {"variant": variant, "seed": seed, "name": "ntu", **more.pop("config", {})}
    result = {"devices": ["cpu"], "versions": {"jax": "0.1"}, "commit": "abc123", **more}
    run = f"{variant}{seed}"
    phase = Phase(network, entry, {"depth": 18, "width": 64}, curves, 5.0, config, run)
    return Run(
        run, {"name": "ntu"}, {"data_set": f"{data}/1.0.0", "digest": "d"}, result, (phase,), ()
    )


ALONE = [[[6, 4, 0], [5, 5, 0], [0, 0, 10]], [[5, 5, 0], [5, 5, 0], [1, 0, 9]]]
DISTILLED = [[[8, 2, 0], [5, 5, 0], [0, 0, 10]], [[9, 1, 0], [4, 6, 0], [0, 1, 9]]]


def both(**more):
    return [
        *(make_run("student", seed, matrix, **more) for seed, matrix in enumerate(ALONE)),
        *(make_run("dkd", seed, matrix, **more) for seed, matrix in enumerate(DISTILLED)),
    ]


def levels(runs):
    return [(n.level, n.text) for n in find_warnings(runs, compare_runs(runs))]


def test_results_are_mean_and_spread_over_seeds_beside_the_paper():
    read = Text(report_page(both()))
    first, second = 100 * 23 / 30, 100 * 24 / 30
    row = read.row("student, distilled (dkd)", "infrared")
    deviation = statistics.stdev((first, second))
    assert row[2] == "0, 1"
    assert row[3] == f"{(first + second) / 2:.1f} ± {deviation:.1f} {first:.1f}, {second:.1f}"
    assert row[5].startswith("+11.7 ± 7.1")
    assert row[6] == "78.6"
    assert "abc123" in read.words
    assert levels(both()) == [("good", "Nothing odd was found in the runs' files.")]


@pytest.mark.parametrize(
    ("data", "synthetic", "expected"),
    [
        (NTU, False, {78.6: [3]}),
        ("ntu_rgbd_ir/ten_class_xview", False, {78.6: [3]}),
        ("pku_mmd_ir/phase1_xsub", False, {57.1: [4]}),
        ("pku_mmd_ir/phase1_xview", False, {55.7: [4]}),
        (NTU, True, {}),
        (NTU, None, {}),
        ("ntu_rgbd_ir/all_xsub", False, {}),
        ("paired_video/default", False, {}),
    ],
)
def test_the_papers_numbers_stand_beside_its_own_data_alone(data, synthetic, expected):
    (comparison,) = compare_runs(both(data=data, synthetic=synthetic))
    assert published_values(comparison, comparison.groups[-1]) == expected
    words = " ".join(Text(report_page(both(data=data, synthetic=synthetic))).words)
    assert ("The paper's" in words) == bool(expected)


def test_the_paper_contradicts_itself_in_plain_sight():
    runs = [make_run("mgcam+dkd", 0, DISTILLED[0], data="pku_mmd_ir/phase1_xsub")]
    row = Text(report_page(runs)).row("student, distilled (mgcam+dkd)", "infrared")
    assert row[-1] == "58.6 (Table 2), 58.5 (Table 4)"


def test_trials_are_not_held_against_the_paper():
    (comparison,) = compare_runs(both(entry={"limited": True}))
    assert published_values(comparison, comparison.groups[0]) == {}
    assert any(
        level == "problem" and "Trials" in text
        for level, text in levels(both(entry={"limited": True}))
    )


def test_synthetic_is_in_plain_sight():
    read = Text(report_page(both(synthetic=True)))
    assert read.words.count(f"ntu: {NTU} (synthetic)") == 1
    assert any("it was rendered, not filmed" in word for word in read.words)


def test_classes_confusions_and_cost_are_counted_right():
    read = Text(report_page(both()))
    wave = read.row("1", "wave", "10")
    # 6 and 5 of 10, 8 and 9 of 10.
    assert wave[3:] == ["55.0 ± 7.1", "85.0 ± 7.1"]
    assert read.row("sit → wave")[1:] == ["50.0", "45.0"]
    assert read.row("wave → sit")[1:] == ["45.0", "15.0"]
    cost = read.row("student alone", "ResNet18")
    assert cost[2:] == ["2.50 M", "1.5 min", "32 clips/s", "1.50 GiB (process)"]


def test_terms_of_weight_one_are_drawn_once():
    words = Text(report_page(both())).words
    assert "dkd" in words
    assert "dkd, times its weight" not in words


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"entry": {"top1": 0.9}}, "Top-1 is not what the confusion matrix says."),
        ({"entry": {"top1": None}}, "A result without a top-1 between 0 and 1."),
        ({"entry": {"class_names": ["a", "b", "c"]}}, "Other classes than most runs"),
        ({"entry": {"stopped_early": True}}, "Stopped early"),
        ({"config": {"data.crop": 5}}, "do not all know the same settings"),
        ({"commit": "def"}, "different commits"),
        ({"versions": {"jax": "9"}}, "different versions"),
        ({"devices": ["gpu"]}, "different kinds of device"),
    ],
)
def test_what_is_odd_is_told(change, sentence):
    runs = [*both(), make_run("dkd", 2, DISTILLED[0], **change)]
    assert any(sentence in text for _, text in levels(runs)), levels(runs)


def test_unequal_comparisons_are_told():
    alone = [make_run("student", 0, ALONE[0], config={"student.epochs": 80})]
    other = [make_run("dkd", 1, DISTILLED[0], config={"student.epochs": 20})]
    texts = [text for _, text in levels(alone + other)]
    assert any("differs from the student alone in more than its methods" in t for t in texts)
    assert any("different seeds" in t for t in texts)
    assert any("One training only" in t for t in texts)
    assert any("No finished student alone" in text for _, text in levels(other))
    twice = [make_run("dkd", 1, DISTILLED[0]), make_run("dkd", 1, DISTILLED[1])]
    assert any("more than once with seed 1" in text for _, text in levels(twice))


def test_lies_about_the_footage_are_told():
    runs = [make_run("dkd", 0, ALONE[0]), make_run("dkd", 1, ALONE[0], synthetic=True)]
    assert any("Of the very same records" in text for _, text in levels(runs))


def test_texts_of_files_do_not_become_markup():
    evil = "</title></style><script>alert(1)</script>"
    runs = [
        make_run(
            evil, 0, ALONE[0], data=evil, commit=evil, devices=[evil], versions={evil: evil},
            entry={"class_names": [evil, evil, evil], "modality": evil}, config={evil: evil},
        )
    ]  # fmt: skip
    tags = Text(report_page(runs)).tags
    assert "script" not in tags
    assert tags.count("style") == tags.count("title") == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    ["variant", "seed", "modality", "top1", "class_names", "metrics", "best", "seconds", "peak_memory", "steps",
     "parameters", "data_set", "synthetic", "limited", "clips_tested", "stopped_early"]
)  # fmt: skip


@settings(max_examples=20)
@given(
    st.dictionaries(_FIELDS, _JSON), st.dictionaries(st.text(max_size=5), _JSON, max_size=3), _JSON
)
def test_whatever_a_result_holds_a_page_comes_out(entry, config, anything):
    odd = make_run("dkd", 0, DISTILLED[0], entry=entry, config=config, devices=anything,
                   versions=anything, commit=anything)  # fmt: skip
    odd = odd.__class__(odd.name, config, {"digest": anything, "clips": anything}, odd.result,
                        odd.phases, ())  # fmt: skip
    words = Text(report_page([*both(), odd])).words
    assert "nan" not in " ".join(words).lower().split()

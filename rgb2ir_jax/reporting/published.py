"""The paper's tables in numbers, and which run of ours stands for which row.

Quan et al., "A Cross-Modal Knowledge Distillation Approach for RGB-to-Infrared Video Action
Recognition", Tables 1-4. The paper names neither the split of Table 1 and 3 nor how Table 2 and 4
compute a classifier's mAP. DL-KDD's tables are in `published_dlkdd`.
"""

from typing import NamedTuple


class PublishedRow(NamedTuple):
    """A row of a table.

    Attributes:
        method: The paper's name.
        variant: What stands after the colon of the config; None: this project does not train it.
        values: The published number of each column, in percent; none in rows that no paper has.
    """

    method: str
    variant: str | None
    values: tuple[float, ...]


class Metric(NamedTuple):
    """What a column shows.

    Attributes:
        key: Its name in `result.json`.
        name: For people.
    """

    key: str
    name: str


class PublishedTable(NamedTuple):
    """A table of a paper. It has a column for each metric on each split.

    Attributes:
        number: Its number.
        title: What it compares.
        metrics: Of each split, in the paper's order.
        protocols: The column's split: the end of the data set's config name ("xsub"), or "" for the
            one that the config names.
        rows: In the paper's order; their values belong to the first split's metrics, then to the
            next one's.
        teacher: What the teacher is called, whose row stands above the others where the paper has
            none: what the students could learn from.
        paper: Its short name; "" for Quan et al.
        data_sets: The pattern of the data sets that it is about, "NAME/CONFIG".
        decimals: Of the published numbers.
    """

    number: int
    title: str
    metrics: tuple[Metric, ...]
    protocols: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    teacher: str = "RGB teacher (no row of the paper's)"
    paper: str = ""
    data_sets: str = "*"
    decimals: int = 1

    @property
    def metric(self) -> str:
        """The first metric's name in `result.json`."""
        return self.metrics[0].key

    @property
    def name(self) -> str:
        """For people: "Table 3", or "Table 1 of DL-KDD"."""
        return f"Table {self.number}{f' of {self.paper}' if self.paper else ''}"

    @property
    def file_stem(self) -> str:
        """Of its files: "table3", or "dlkdd_table1"."""
        paper = "".join(filter(str.isalnum, self.paper)).lower()
        return f"{paper}{'_' * bool(paper)}table{self.number}"

    @property
    def all_rows(self) -> tuple[PublishedRow, ...]:
        """The paper's rows below the teacher's, unless it is one of them."""
        if any(row.variant == "teacher" for row in self.rows):
            return self.rows
        return (PublishedRow(self.teacher, "teacher", ()), *self.rows)


_ACCURACY = (Metric("top1", "accuracy"),)
_MAP = (Metric("mAP_classification", "mAP"),)
_PROPOSED = "mgcam+dkd"

TABLES: dict[int, PublishedTable] = {
    1: PublishedTable(
        1,
        "Comparison on NTU RGB+D",
        _ACCURACY,
        ("",),
        (
            PublishedRow("TSN, infrared alone", "student", (71.20,)),
            PublishedRow("TSTDDs", "tstdd", (72.36,)),
            PublishedRow("ST", "st", (74.69,)),
            PublishedRow("AT", "at", (74.58,)),
            PublishedRow("SP", "sp", (76.03,)),
            PublishedRow("CC", "cc", (75.21,)),
            PublishedRow("RKD", "rkd", (74.38,)),
            PublishedRow("CCSKD", "ccskd", (76.24,)),
            PublishedRow("MGCAM + DKD (the paper's)", _PROPOSED, (80.86,)),
        ),
    ),
    2: PublishedTable(
        2,
        "Comparison on PKU-MMD",
        _MAP,
        ("xview", "xsub"),
        (
            PublishedRow("TSN, infrared alone", "student", (53.9, 56.7)),
            PublishedRow("ST", "st", (55.4, 57.4)),
            PublishedRow("AT", "at", (56.2, 58.4)),
            PublishedRow("SP", "sp", (58.2, 57.0)),
            PublishedRow("CC", "cc", (58.0, 56.7)),
            PublishedRow("RKD", "rkd", (57.9, 57.8)),
            PublishedRow("CCSKD", "ccskd", (55.6, 56.5)),
            PublishedRow("MGCAM + DKD (the paper's)", _PROPOSED, (58.8, 58.6)),
        ),
    ),
    3: PublishedTable(
        3,
        "Ablation on NTU RGB+D",
        _ACCURACY,
        ("",),
        (
            PublishedRow("neither: infrared alone", "student", (71.20,)),
            PublishedRow("DKD", "dkd", (78.60,)),
            PublishedRow("MGCAM", "mgcam", (80.04,)),
            PublishedRow("MGCAM + DKD", _PROPOSED, (80.86,)),
        ),
    ),
    4: PublishedTable(
        4,
        "Ablation on PKU-MMD",
        _MAP,
        ("xview", "xsub"),
        (
            PublishedRow("neither: infrared alone", "student", (53.9, 56.7)),
            PublishedRow("DKD", "dkd", (55.7, 57.1)),
            PublishedRow("MGCAM", "mgcam", (57.5, 57.4)),
            # 58.6 in Table 2: the paper contradicts itself.
            PublishedRow("MGCAM + DKD", _PROPOSED, (58.8, 58.5)),
        ),
    ),
}

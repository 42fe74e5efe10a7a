"""The paper's tables in numbers, and which run of ours stands for which row.

Quan et al., "A Cross-Modal Knowledge Distillation Approach for RGB-to-Infrared Video Action
Recognition", Tables 1-4. The paper names neither the split of Table 1 and 3 nor how Table 2 and 4
compute a classifier's mAP.
"""

from typing import NamedTuple


class PublishedRow(NamedTuple):
    """A row of a table.

    Attributes:
        method: The paper's name.
        variant: What stands after the colon of the config; None: this project does not train it.
        values: The published number of each column, in percent.
    """

    method: str
    variant: str | None
    values: tuple[float, ...]


class PublishedTable(NamedTuple):
    """A table of the paper.

    Attributes:
        number: Its number.
        title: What it compares.
        metric: The metric's name in `result.json`.
        metric_name: The metric's name for people.
        protocols: The column's split: the end of the data set's config name ("xsub"), or "" for the
            one that the config names.
        rows: In the paper's order.
    """

    number: int
    title: str
    metric: str
    metric_name: str
    protocols: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


_PROPOSED = "mgcam+dkd"

TABLES: dict[int, PublishedTable] = {
    1: PublishedTable(
        1,
        "Comparison on NTU RGB+D",
        "top1",
        "accuracy",
        ("",),
        (
            PublishedRow("TSN, infrared alone", "student", (71.20,)),
            PublishedRow("TSTDDs", None, (72.36,)),
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
        "mAP_classification",
        "mAP",
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
        "top1",
        "accuracy",
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
        "mAP_classification",
        "mAP",
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

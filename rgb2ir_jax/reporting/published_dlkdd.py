"""DL-KDD's tables in numbers, and which run of ours stands for which row.

Chang et al., "DL-KDD: Dual-Light Knowledge Distillation for Action Recognition in the Dark",
Tables 1-4. The paper does not say which of ARID's splits its numbers are of, or
whether they are averages; nor whether they are of the last epoch or the best one.
"""

from fnmatch import fnmatchcase

from rgb2ir_jax.reporting.published import Metric, PublishedRow, PublishedTable

_TOP1 = (Metric("top1", "top-1 accuracy"),)
_TOP1_AND_TOP5 = (Metric("top1", "top-1"), Metric("top5", "top-5"))
_TEACHER = "teacher on enhanced frames (no row of this table's)"
_STUDENT = "st-dlkdd"


def _table(
    number: int,
    title: str,
    data_sets: str,
    rows: tuple[PublishedRow, ...],
    metrics: tuple[Metric, ...] = _TOP1,
) -> PublishedTable:
    return PublishedTable(
        number,
        title,
        metrics,
        ("",),
        rows,
        teacher=_TEACHER,
        paper="DL-KDD",
        data_sets=data_sets,
        decimals=2,
    )


TABLES: tuple[PublishedTable, ...] = (
    _table(
        1,
        "Ablation on ARID",
        "arid/v1_split*",
        (
            # DarkLight's number, as the paper cites it.
            PublishedRow("R(2+1)D + BERT", "student", (92.44,)),
            PublishedRow("DL-KDD-Teacher: ZeroDCE + R(2+1)D + BERT", "teacher", (95.73,)),
            PublishedRow("DL-KDD-Student: R(2+1)D + BERT", _STUDENT, (97.27,)),
        ),
    ),
    _table(
        2,
        "Comparison on ARID",
        "arid/v1_split*",
        (
            PublishedRow("I3D-RGB", None, (68.29,)),
            PublishedRow("I3D Two-stream", None, (72.78,)),
            PublishedRow("3D-ResNext-101", None, (74.73,)),
            PublishedRow("DarkLight", None, (94.04,)),
            PublishedRow("DTCM", None, (96.36,)),
            PublishedRow("R(2+1)D-GCN+BERT", None, (96.60,)),
            PublishedRow("DL-KDD", _STUDENT, (97.27,)),
        ),
    ),
    _table(
        3,
        "Comparison on ARID V1.5",
        "arid/v1_5_split*",
        (
            PublishedRow("I3D-RGB", None, (48.75,)),
            PublishedRow("I3D Two-stream", None, (51.24,)),
            PublishedRow("DarkLight", None, (84.13,)),
            PublishedRow("R(2+1)D-GCN+BERT", None, (86.93,)),
            PublishedRow("DL-KDD", _STUDENT, (88.04,)),
        ),
    ),
    _table(
        4,
        "Comparison on Dark-48",
        "dark48/*",
        (
            PublishedRow("I3D-RGB", None, (32.25, 65.35)),
            PublishedRow("3D-ResNext-101", None, (37.23, 68.86)),
            PublishedRow("DarkLight", None, (42.27, 70.47)),
            PublishedRow("DTCM", None, (46.68, 75.92)),
            PublishedRow("DL-KDD", _STUDENT, (50.86, 78.29)),
        ),
        _TOP1_AND_TOP5,
    ),
)


def tables_of(name: str, config: str) -> tuple[PublishedTable, ...]:
    """The tables that are about a data set.

    Args:
        name: `config.data.name`.
        config: `config.data.config`.

    Raises:
        ValueError: there is none; names the data sets that have one.
    """
    found = tuple(t for t in TABLES if fnmatchcase(f"{name}/{config}", t.data_sets))
    if not found:
        patterns = dict.fromkeys(table.data_sets for table in TABLES)
        expected = ", ".join(
            f"{pattern} (Table {' and '.join(str(t.number) for t in TABLES if t.data_sets == pattern)})"
            for pattern in patterns
        )
        raise ValueError(
            f"config.data is {name}/{config}, and DL-KDD has no table on it; expected one of {expected}: "
            "--config.data.name=NAME --config.data.config=CONFIG"
        )
    return found

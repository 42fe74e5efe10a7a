"""What a reader of the report should know before believing a comparison."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rgb2ir_jax.reporting.page import Notice
from rgb2ir_jax.reporting.runs.configs import flat_config
from rgb2ir_jax.reporting.runs.groups import ALONE, Comparison, is_free
from rgb2ir_jax.reporting.runs.record import Phase, Run, number, text

_MOST_EXAMPLES = 8
# Rounding of what was written; anything beyond is another experiment's number.
_TOLERANCE = 1e-6


def find_warnings(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> list[Notice]:
    """Everything worth a warning, or one notice that there is nothing."""
    found = [*_footage(comparisons), *_state(runs), *_files(runs)]
    if len(comparisons) > 1:
        titles = [comparison.title for comparison in comparisons]
        found.append(
            _notice(
                "note",
                "The runs are on different data sets. Each has its own tables; nothing is "
                "compared across them.",
                titles,
            )
        )
    for comparison in comparisons:
        found += [
            *_records(comparison),
            *_classes(comparison),
            *_seeds(comparison),
            *_settings(comparison),
            *_contradictions(comparison),
        ]
    found += [*_surroundings(runs)]
    return found or [Notice("good", "Nothing odd was found in the runs' files.")]


def _notice(level: str, sentence: str, examples: Sequence[str] = ()) -> Notice:
    shown = tuple(text(example, 200) for example in examples[:_MOST_EXAMPLES])
    return Notice(level, sentence, shown, len(examples))


def _footage(comparisons: Sequence[Comparison]) -> Iterator[Notice]:
    if made_up := [c.data_name for c in comparisons if c.synthetic]:
        yield Notice(
            "problem",
            f"The footage of {', '.join(made_up)} is synthetic: it was rendered, not filmed. Its numbers "
            "show how the program behaves, and nothing about real cameras or the paper.",
        )
    answers: dict[str, set[bool]] = {}
    for comparison in comparisons:
        for run in comparison.runs:
            if run.synthetic is not None and (digest := run.data_set.get("digest")):
                answers.setdefault(f"{run.data_name} {digest!r}", set()).add(run.synthetic)
    if any(len(found) > 1 for found in answers.values()):
        yield Notice(
            "problem",
            "Of the very same records, some runs say that they are synthetic and others that they are "
            "not. One of them is wrong: do not compare with the paper before you know which.",
        )
    if unknown := [c.data_name for c in comparisons if c.synthetic is None]:
        yield Notice(
            "note",
            f"No file tells whether the footage of {', '.join(unknown)} was filmed or is synthetic.",
        )


def _state(runs: Sequence[Run]) -> Iterator[Notice]:
    if limited := [run.name for run in runs if any(phase.limited for phase in run.phases)]:
        yield _notice(
            "problem", "Trials: training or test was cut short by the config's limits.", limited
        )
    if unfinished := [run.name for run in runs if not run.finished]:
        yield _notice(
            "problem",
            "Not finished: only their curves are shown, and networks that were trained to their end.",
            unfinished,
        )
    if early := [
        f"{run.name}: {phase.network}"
        for run in runs
        for phase in run.phases
        if phase.entry.get("stopped_early") is True
    ]:
        yield _notice("note", "Stopped early, as their configs ask.", early)


def _files(runs: Sequence[Run]) -> Iterator[Notice]:
    if broken := [f"{run.name}: {problem}" for run in runs for problem in run.problems]:
        yield _notice("problem", "Some files are missing, damaged or hold no numbers.", broken)


def _records(comparison: Comparison) -> Iterator[Notice]:
    for field, what in (
        ("digest", "was built anew between the runs: they did not see the same records"),
        ("clips", "has other numbers of clips in some runs"),
    ):
        found = Counter(repr(r.data_set[field]) for r in comparison.runs if field in r.data_set)
        if len(found) > 1:
            yield Notice("problem", f"{comparison.data_name} {what}.")
            return


def _classes(comparison: Comparison) -> Iterator[Notice]:
    others = [
        f"{phase.run}: {phase.network}"
        for group in comparison.groups
        for phase in group.finished
        if phase.class_names != comparison.class_names
    ]
    if others:
        yield _notice(
            "problem",
            f"Other classes than most runs on {comparison.data_name} have, or none told: left out of "
            "everything by class.",
            others,
        )


def _seeds(comparison: Comparison) -> Iterator[Notice]:
    students = [g for g in comparison.groups if g.finished and g.network == "student"]
    if single := [group.label for group in students if len(group.finished) == 1]:
        yield _notice(
            "note",
            "One training only: nothing is known of the spread over seeds, which is easily as large as "
            "the gain of a method.",
            single,
        )
    for group in comparison.groups:
        counts = Counter(phase.seed for phase in group.finished)
        if twice := [str(seed) for seed, count in counts.items() if count > 1]:
            yield Notice(
                "note",
                f"{group.label}: trained more than once with seed {', '.join(twice)}; the spread then is "
                "not one over seeds alone.",
            )
    seeds = {group.label: {phase.seed for phase in group.finished} for group in students}
    if len({frozenset(found) for found in seeds.values()}) > 1:
        yield _notice(
            "note",
            "Students were trained with different seeds. Gains are over the seeds that both have.",
            [f"{k}: {', '.join(sorted(map(str, v)))}" for k, v in seeds.items()],
        )


def _settings(comparison: Comparison) -> Iterator[Notice]:
    """Settings, methods aside, by which a distilled student differs from the one it is held against."""
    for group in comparison.groups:
        other = comparison.baseline(group)
        if other is None:
            continue
        mine, theirs = group.phases[0].config, other.phases[0].config
        # A student alone has no teacher, whatever its config says of one.
        differing = [
            f"{field}: {text(mine[field], 60)}, the student alone {text(theirs[field], 60)}"
            for field in mine
            if field in theirs
            and mine[field] != theirs[field]
            and not is_free(field)
            and not field.startswith(("distill.", "teacher."))
        ]
        if differing:
            yield _notice(
                "problem",
                f"{group.label} differs from the student alone in more than its methods.",
                differing,
            )
    if not any(group.variant == ALONE and group.finished for group in comparison.groups) and any(
        group.network == "student" for group in comparison.groups
    ):
        yield Notice(
            "note",
            f"No finished student alone on {comparison.title}: no gains of distillation are shown.",
        )
    knows = {frozenset(f for f in flat_config(r) if not f.startswith("distill.")) for r in
             comparison.runs if flat_config(r)}  # fmt: skip
    if len(knows) > 1:
        fields = sorted(frozenset.union(*knows) - frozenset.intersection(*knows))
        yield _notice(
            "note",
            f"Configs on {comparison.data_name} do not all know the same settings: versions of this "
            "program differ. Settings that are missing somewhere are not compared.",
            fields,
        )


def _contradictions(comparison: Comparison) -> Iterator[Notice]:
    odd = [
        f"{phase.run}: {phase.network}"
        for group in comparison.groups
        for phase in group.finished
        if _contradicts_itself(phase)
    ]
    if odd:
        yield _notice("problem", "Top-1 is not what the confusion matrix says.", odd)
    untold = [
        f"{phase.run}: {phase.network}"
        for group in comparison.groups
        for phase in group.phases
        if phase.finished and phase.share("top1") is None
    ]
    if untold:
        yield _notice("problem", "A result without a top-1 between 0 and 1.", untold)


def _contradicts_itself(phase: Phase) -> bool:
    matrix, top1 = phase.confusion(), phase.share("top1")
    if matrix is None or top1 is None or not matrix.sum():
        return False
    return bool(abs(float(np.trace(matrix) / matrix.sum()) - top1) > _TOLERANCE)


def _surroundings(runs: Sequence[Run]) -> Iterator[Notice]:
    for what, of in (
        ("commits of this program", commit),
        ("kinds of device", devices),
        ("versions of packages", versions),
        ("numbers of test clips", _tested),
    ):
        found = Counter(told for run in runs if (told := of(run)))
        if len(found) > 1:
            yield _notice(
                "note",
                f"The runs come from different {what}.",
                [f"{count} with {told}" for told, count in found.most_common()],
            )


def commit(run: Run) -> str:
    """Which state of the program a run says that it was; empty if it does not."""
    for field in ("commit", "git_commit"):
        if isinstance(found := run.result.get(field), str):
            return text(found, 60)
    return ""


def devices(run: Run) -> str:
    """The kinds of device that a run used; empty if it does not tell."""
    found = run.result.get("devices")
    return ", ".join(text(kind, 60) for kind in found[:8]) if isinstance(found, list) else ""


def versions(run: Run) -> str:
    """The packages that a run used; empty if it does not tell."""
    found = run.result.get("versions")
    if not isinstance(found, dict):
        return ""
    return ", ".join(f"{text(name, 40)} {text(v, 40)}" for name, v in list(found.items())[:30])


def _tested(run: Run) -> str:
    counts = {number(phase.entry.get("clips_tested")) for phase in run.phases} - {None}
    return ", ".join(f"{count:,.0f}" for count in sorted(c for c in counts if c is not None))

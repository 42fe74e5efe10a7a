"""The settings of runs: what differs between them, and all of them behind a click."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rgb2ir_jax.reporting.page import Markup, disclosure, element, join, table
from rgb2ir_jax.reporting.runs.groups import is_free
from rgb2ir_jax.reporting.runs.record import Run, text

# Where things lie says nothing about what was done.
_PLACES = ("data.dir", "data.cache")
_MOST_DIFFERENCES, _MOST_NAMES, _MOST_SUMMARIES = 40, 12, 6
_LONGEST_CONFIG = 20_000


def flat_config(run: Run) -> Mapping[str, Any]:
    """The settings as "optimizer.learning_rate" and so on; empty if they cannot be had."""
    return run.phases[0].config if run.phases else {}


def differing_fields(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all runs, without places on a disk."""
    configs = [flat_config(run) for run in runs]
    fields = sorted(set().union(*configs))
    return [
        field
        for field in fields
        if field not in _PLACES and len({repr(config.get(field)) for config in configs}) > 1
    ]


def configs_section(runs: Sequence[Run]) -> Markup | None:
    """Each run's differing settings in a table and its whole config in a disclosure."""
    there = [run for run in runs if flat_config(run)]
    if not there:
        return None
    differing = [f for f in differing_fields(there) if f == "variant" or not is_free(f)]
    parts: list[Markup] = []
    if differing:
        rows = [
            [_names(runs), _seeds(runs), _settings(flat_config(runs[0]), differing)]
            for runs in _alike(there, differing)
        ]
        parts.append(element("p", "Only what differs between the runs."))
        parts.append(table(["Runs", "Seeds", "Settings"], rows))
    elif len(there) > 1:
        parts.append(element("p", "All runs have the same settings but for their seeds."))
    whole = [
        disclosure(f"Config of {run.name}", element("pre", _as_text(run), class_="config"))
        for run in there
    ]
    if len(whole) > _MOST_SUMMARIES:
        whole = [disclosure(f"Configs of all {len(whole)} runs", whole)]
    return join(parts, whole)


def _alike(runs: Sequence[Run], fields: Sequence[str]) -> list[list[Run]]:
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        config = flat_config(run)
        found.setdefault(tuple(repr(config.get(f, ())) for f in fields), []).append(run)
    return list(found.values())


def _names(runs: Sequence[Run]) -> str:
    more = len(runs) - _MOST_NAMES
    names = ", ".join(run.name for run in runs[:_MOST_NAMES])
    return names + (f" and {more} more" if more > 0 else "")


def _seeds(runs: Sequence[Run]) -> str:
    seeds = sorted({phase.seed for run in runs for phase in run.phases if phase.seed is not None})
    more = len(seeds) - _MOST_NAMES
    return ", ".join(map(str, seeds[:_MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def _settings(config: Mapping[str, Any], fields: Sequence[str]) -> Markup:
    shown = [
        element("span", f"{field} = {_value(config[field])}", class_="setting")
        for field in sorted(fields, key=lambda field: field != "variant")
        if field in config
    ]
    if not shown:
        return element("span", "none of them")
    more = len(shown) - _MOST_DIFFERENCES
    if more > 0:
        shown[_MOST_DIFFERENCES:] = [element("span", f"and {more} more", class_="setting")]
    return element("div", shown, class_="settings")


def _value(value: Any) -> str:
    return text(value if isinstance(value, str) and value else json.dumps(value), 60)


def _as_text(run: Run) -> str:
    config = run.config or dict(flat_config(run))
    return text(json.dumps(config, indent=1, ensure_ascii=False), _LONGEST_CONFIG)

"""A config as text that a person can read, and copy into flags."""

import textwrap

import ml_collections

_WIDTH = 100


def describe_config(config: ml_collections.ConfigDict) -> str:
    """All fields of a config, section by section, as the command line would take them.

    Args:
        config: of an experiment.

    Returns:
        Lines of at most 100 characters (where no value is longer): a section's name, and its fields
        as FIELD=VALUE in the config's order; behind `--config.` and the section's name, each is a
        flag.
    """
    sections: list[tuple[str, list[str]]] = []
    _collect("config.", config, sections)
    indent = max(len(name) for name, _ in sections) + 4
    lines = []
    for name, fields in sections:
        # Spaces within a value are no places to break a line.
        joined = "  ".join(field.replace(" ", "\0") for field in fields)
        wrapped = textwrap.wrap(
            joined, _WIDTH - indent, break_long_words=False, break_on_hyphens=False
        )
        heads = [f"  {name}", *[""] * (len(wrapped) - 1)]
        lines += [
            f"{head:<{indent}}{line}".replace("\0", " ")
            for head, line in zip(heads, wrapped, strict=True)
        ]
    return "\n".join(lines)


def _collect(
    name: str, section: ml_collections.ConfigDict, found: list[tuple[str, list[str]]]
) -> None:
    values = {
        key: value
        for key, value in section.items()
        if not isinstance(value, ml_collections.ConfigDict)
    }
    if values:
        found.append((name, [f"{key}={value!r}" for key, value in values.items()]))
    for key, value in section.items():
        if isinstance(value, ml_collections.ConfigDict):
            _collect(f"{name}{key}.", value, found)

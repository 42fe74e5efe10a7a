"""Which networks a run trains, in their order, and each one's config."""

from ml_collections import ConfigDict

from rgb2ir_jax.models.streams import STREAMS, Stream

TSTDD = "tstdd"
"""The variant of three streams, and the name of what they say together."""


def phase_names(config: ConfigDict, *, given_teacher: bool) -> list[str]:
    """The networks that a run trains: names of sections of its config, or of TSTDDs' streams.

    Args:
        config: of the run.
        given_teacher: whether it learns from teachers that are trained already.
    """
    if config.variant == TSTDD:
        return list(streams_of(config))
    if not config.distill:
        return [config.variant]
    return ["student"] if given_teacher else ["teacher", "student"]


def streams_of(config: ConfigDict) -> tuple[str, ...]:
    """TSTDDs' streams: spatial, local temporal, global temporal."""
    return ("frame", config.tstdd.local, "global_image")


def with_streams(config: ConfigDict) -> ConfigDict:
    """Returns the config with a section for each of TSTDDs' streams: the student's, but for the stream.

    A config of another variant is returned as it is.
    """
    if config.variant != TSTDD:
        return config
    expanded = config.copy_and_resolve_references()
    with expanded.unlocked():
        for name in streams_of(config):
            expanded[name] = config.student.copy_and_resolve_references()
            expanded[name].stream = name
    return expanded


def phase_config(config: ConfigDict, name: str) -> ConfigDict:
    """Returns the config that one network is trained and tested by.

    It is the run's, unless the network sees a stream: then it says how its clips are read. A stream of
    TSTDDs has a section of its name, and a variant of its own, "tstdd-frame".

    Args:
        config: of the run.
        name: one of `phase_names`.
    """
    if config.variant == TSTDD:
        others = set(STREAMS) - {name}
        config = with_streams(config)
        with config.unlocked():
            for other in others & set(config):
                del config[other]
            config.variant = f"{TSTDD}-{name}"
    stream = Stream.from_config(config[name])
    return config if stream is None else stream.read(config)

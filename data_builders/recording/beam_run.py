"""The recoding of clips as a Beam transform, for clusters (Dataflow, Spark, Flink)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow_datasets.public_api as tfds

from data_builders.recording.records import counted, record
from rgb2ir_jax.video.recode import RecodeTask, recode_task

_OUTCOMES = "outcomes"


class Outcome(NamedTuple):
    """What became of a clip on a cluster.

    Attributes:
        key: Its key in the data set, as text (JSON has no integers of 128 bits).
        name: Its name.
        problem: Why it has no record; None if it has one.
        counted: What the report counts of the record: numbers of frames and rates.
    """

    key: str
    name: str
    problem: str | None
    counted: tuple[int, int, float, float] = (0, 0, 0.0, 0.0)


class Job(NamedTuple):
    """One task with what its records need.

    Attributes:
        keys: A key for each clip.
        task: The pair of videos and its clips.
        fields: The label and other fields of each clip's record.
    """

    keys: list[int]
    task: RecodeTask
    fields: list[dict[str, Any]]


class RecodeOnBeam(beam.PTransform):
    """Turns tasks into (key, record) pairs, and writes down what became of every clip.

    Args:
        jobs: The tasks of one split.
        outcomes_path: Where the outcomes go, on a file system that all machines see.
    """

    def __init__(self, jobs: Sequence[Job], outcomes_path: str):
        super().__init__()
        self._jobs = list(jobs)
        self._outcomes_path = outcomes_path

    def expand(self, pipeline: Any) -> Any:
        """Builds the graph: one element a task, spread over the workers."""
        clips = (
            pipeline
            | "Tasks" >> beam.Create(self._jobs)
            # Without it, runners fuse the whole list into one worker.
            | "Spread" >> beam.Reshuffle()
            | "Recode" >> beam.ParDo(_Recode()).with_outputs(_OUTCOMES, main="records")
        )
        written = (
            clips[_OUTCOMES]
            | "Gather" >> beam.combiners.ToList()
            | "WriteOutcomes" >> beam.Map(_write_outcomes, self._outcomes_path)
        )
        # Records wait for the outcomes, so that these are there even when the rest fails.
        return clips.records | "Wait" >> beam.Map(
            lambda example, _: example, beam.pvalue.AsSingleton(written)
        )


class _Recode(beam.DoFn):
    def process(self, job: Job) -> Iterator[Any]:
        keys, task, fields = job
        for key, clip, more in zip(keys, recode_task(task), fields, strict=True):
            if clip.problem is not None:
                yield beam.pvalue.TaggedOutput(
                    _OUTCOMES, Outcome(str(key), clip.name, clip.problem)
                )
                continue
            example = record(clip, more)
            yield beam.pvalue.TaggedOutput(
                _OUTCOMES, Outcome(str(key), clip.name, None, counted(example))
            )
            yield key, example


def _write_outcomes(outcomes: list[Outcome], path: str) -> bool:
    ordered = sorted((Outcome(*outcome) for outcome in outcomes), key=lambda o: int(o.key))
    tfds.core.Path(path).write_text(json.dumps(ordered))
    return True


def read_outcomes(path: Any) -> list[Outcome]:
    """Reads what a run wrote, in the clips' order.

    Args:
        path: A `tfds.core.Path`.
    """
    return [Outcome(*outcome) for outcome in json.loads(path.read_text())]

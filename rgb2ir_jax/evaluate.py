"""Tests a trained network again, in more depth than its training did, or against another one.

    python -m rgb2ir_jax.evaluate --run=DIR [--network=student|teacher] [--segments=25]
    [--crops=3|10] [--data_dir=DIR] [--split=test] [--compare=DIR] [--out=FILE]
    python -m rgb2ir_jax.evaluate --student=FILE --data_set=NAME/CONFIG --data_dir=DIR [...]

With its defaults it repeats the test at the end of the training and says whether every number is the
same. Of a run of three streams (`configs/ntu.py:tstdd`) it tests what they say together; of DIR/frame and
so on, one of them. `--student` tests what the export command wrote. Writes FILE with all figures as JSON, and each
clip's logits beside it as .npz.
"""

import argparse
import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rgb2ir_jax.launch.command_line import fail

if TYPE_CHECKING:
    import numpy as np
    from ml_collections import ConfigDict

    from rgb2ir_jax.evaluation.protocol import Protocol
    from rgb2ir_jax.launch.exported_network import ExportedNetwork
    from rgb2ir_jax.launch.fused_streams import FusedStreams
    from rgb2ir_jax.launch.trained_network import TrainedNetwork

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scikit-learn")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code. A user's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    from rgb2ir_jax.launch.compilation_cache import use_compilation_cache

    use_compilation_cache()
    try:
        evaluate(options)
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rgb2ir_jax.evaluate",
        description="Tests a trained network again, as its run did or in more depth.",
        allow_abbrev=False,
    )
    tested = parser.add_mutually_exclusive_group(required=True)
    tested.add_argument("--run", type=Path, metavar="DIR", help="work directory")
    tested.add_argument(
        "--student", type=Path, metavar="FILE", help="exported network: its folder or main file"
    )
    parser.add_argument(
        "--data_set", metavar="NAME/CONFIG", help="that an exported network is tested on"
    )
    parser.add_argument("--network", choices=("student", "teacher"), help="default: the student")
    parser.add_argument(
        "--segments",
        type=int,
        metavar="N",
        help="frames of a clip; default: as the run tests (25: dense)",
    )
    parser.add_argument(
        "--crops", type=int, choices=(1, 3, 10), help="of each frame; default: as the run tests"
    )
    parser.add_argument(
        "--data_dir", metavar="DIR", help="of the built data set; default: the run's"
    )
    parser.add_argument("--split", help="default: the run's test split")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="another run, tested alike")
    parser.add_argument(
        "--compare_network", choices=("student", "teacher"), help="which network of that run"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: evaluation-SPLIT-NxC.json beside the network",
    )
    return parser


class _Scores(NamedTuple):
    """A network and what it says of each clip."""

    network: "TrainedNetwork | FusedStreams | ExportedNetwork"
    logits: "np.ndarray"
    labels: "np.ndarray"


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Tests what the options name, prints and writes the outcome, and returns it.

    Raises:
        ValueError: the run, the data set or an option is not what it has to be.
    """
    from rgb2ir_jax.data.source import describe
    from rgb2ir_jax.evaluation.bootstrap import LEVEL, bootstrap_intervals
    from rgb2ir_jax.evaluation.calibration import reliability
    from rgb2ir_jax.evaluation.comparison import compare
    from rgb2ir_jax.evaluation.metrics import classification_metrics
    from rgb2ir_jax.evaluation.protocol import Protocol
    from rgb2ir_jax.launch.data_of_run import check_classes
    from rgb2ir_jax.launch.evaluation_text import comparison_text, figures_text
    from rgb2ir_jax.launch.subject_of_test import open_subject, reproduction
    from rgb2ir_jax.launch.trained_network import TrainedNetwork, load_run

    if options.resamples < 1:
        raise ValueError(f"--resamples is {options.resamples}, expected at least 1")
    if options.compare_network and options.compare is None:
        raise ValueError("--compare_network belongs to --compare=DIR")
    subject = open_subject(options)
    network, data, limit = subject.network, subject.data, subject.limit
    data_set = describe(data)
    split = options.split or data.test_split
    protocol = Protocol(
        subject.protocol.segments if options.segments is None else options.segments,
        subject.protocol.crops if options.crops is None else options.crops,
    )
    check_classes(network, data, data_set.class_names)
    scores = _Scores(network, *subject.score(split, protocol))
    metrics = classification_metrics(scores.logits, scores.labels)
    outcome: dict[str, Any] = {
        **subject.entry,
        "folder": str(network.folder),
        "network": network.name,
        "data_set": f"{data.name}/{data.config}",
        "synthetic": data_set.synthetic,
        "split": split,
        "limited_to_clips": limit,
        "protocol": {
            "segments": protocol.segments,
            "crops": protocol.crops,
            "description": str(protocol),
            "averaged": "logits, over segments and crops alike",
        },
        "class_names": list(network.class_names),
        "metrics": metrics.to_dict(),
        "intervals": {
            "level": LEVEL,
            "resamples": options.resamples,
            **bootstrap_intervals(scores.logits, scores.labels, resamples=options.resamples),
        },
        "reliability": reliability(scores.logits, scores.labels).to_dict(),
        "reproduces": reproduction(subject, split, protocol, metrics.to_dict()),
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    print(figures_text(outcome))
    if options.compare is not None:
        other = load_run(options.compare, options.compare_network)
        stream = network.spec.stream if isinstance(network, TrainedNetwork) else None
        # The frames of one image, which are fixed, say nothing of what another network is to see.
        fixed = stream is not None and stream.is_one_image
        own = Protocol.from_config(other.config)
        likewise = Protocol((own if fixed else protocol).segments, protocol.crops)
        other_scores = _score_like(other, scores, data, split, likewise, limit)
        comparison = compare(
            scores.logits, other_scores.logits, scores.labels, resamples=options.resamples
        )
        outcome["comparison"] = {
            "run": str(options.compare),
            "folder": str(other.folder),
            "seed": other.result["seed"],
            "network": other.name,
            "variant": other.result["variant"],
            "modality": other.spec.modality,
            "segments": likewise.segments,
            "metrics": classification_metrics(other_scores.logits, scores.labels).to_dict(),
            **comparison.to_dict(),
        }
        print("\n" + comparison_text(outcome))
    _write(options.out or _default_file(network, split, protocol), outcome, scores)
    return outcome


def _score_like(
    other: "TrainedNetwork",
    scores: _Scores,
    data: "ConfigDict",
    split: str,
    protocol: "Protocol",
    limit: int,
) -> _Scores:
    """Shows the other network the same clips, in the size and crop that it was trained on."""
    from rgb2ir_jax.launch.data_of_run import data_of_run
    from rgb2ir_jax.launch.trained_network import score_split

    theirs = data_of_run(other, data.dir)
    with theirs.unlocked():
        theirs.name, theirs.config = data.name, data.config
    if other.class_names != scores.network.class_names:
        raise ValueError(
            f"the networks in {scores.network.folder} and {other.folder} tell other classes apart; "
            "expected two of one data set"
        )
    return _Scores(other, *score_split(other, theirs, split, protocol, limit=limit))


def _default_file(
    network: "TrainedNetwork | FusedStreams | ExportedNetwork", split: str, protocol: "Protocol"
) -> Path:
    plain = "".join(character if character.isalnum() else "_" for character in split)
    return network.folder / f"evaluation-{plain}-{protocol.segments}x{protocol.crops}.json"


def _write(path: Path, outcome: dict[str, Any], scores: _Scores) -> None:
    import numpy as np

    from rgb2ir_jax.training.saving.files import write_json

    path = path.expanduser()
    arrays = path.with_suffix(".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arrays,
        logits=scores.logits,
        labels=scores.labels,
        class_names=np.array(outcome["class_names"]),
    )
    write_json(path, outcome)
    print(f"\nWritten: {path}, and each clip's logits in {arrays}")


if __name__ == "__main__":
    sys.exit(main())

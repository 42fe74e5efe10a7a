"""Trains Zero-DCE on the frames of a data set: configs/zero_dce.py as one class."""

import json
import logging
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
import optax
from flax import nnx

from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.data.source import check_modalities, describe
from rgb2ir_jax.models.cost import count_parameters
from rgb2ir_jax.models.enhancement.weights import (
    build_zero_dce,
    digest,
    read_zero_dce,
    write_zero_dce,
    zero_dce_tensors,
)
from rgb2ir_jax.models.enhancement.zero_dce import ZeroDCE
from rgb2ir_jax.training.determinism import use_deterministic_kernels
from rgb2ir_jax.training.distributed import (
    check_alike,
    check_processes,
    check_shared,
    failing_together,
    found_by_main,
    is_main,
    wait_until_seen,
)
from rgb2ir_jax.training.early_stopping import EarlyStopping
from rgb2ir_jax.training.enhancing.settings import SECTION, apply_smoke, validate
from rgb2ir_jax.training.enhancing.step import (
    make_loss,
    make_optimizer,
    make_test_step,
    make_train_step,
)
from rgb2ir_jax.training.enhancing.tester import EnhancementTester
from rgb2ir_jax.training.environment import check_devices, check_writable, compute_dtype
from rgb2ir_jax.training.loop import fit
from rgb2ir_jax.training.observing.config_text import describe_config
from rgb2ir_jax.training.plan import make_plan
from rgb2ir_jax.training.saving.files import RESULT_FILE, write_json
from rgb2ir_jax.training.saving.provenance import git_commit
from rgb2ir_jax.training.saving.workdir import claim, facts
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.signals import StopRequest, stop_on_signals
from rgb2ir_jax.training.state import Split, TrainState, Variables, create_state, merge
from rgb2ir_jax.training.validation import flatten

WEIGHTS_FILE = "zero_dce.safetensors"
"""In the work directory, when the training has ended."""

_log = logging.getLogger(__name__)


class _Nothing(nnx.Module):
    """Stands where a run of networks has the connectors of its methods."""


class EnhancementExperiment:
    """A checked config in its work directory, ready to run.

    Args:
        config: see configs/zero_dce.py.
        workdir: gets `config.json`, `zero_dce/` (checkpoints, curves, pictures), `zero_dce.safetensors`
            and `result.json`. One that holds an unfinished run of the same config is gone on with.

    Raises:
        ValueError: the config, the data set or the work directory is not what it has to be.
    """

    def __init__(self, config: ml_collections.ConfigDict, workdir: Path):
        use_deterministic_kernels(config)
        check_devices()
        check_processes()
        with failing_together():
            self.config = apply_smoke(config)
            validate(self.config)
            validate_data(self.config.data)
            check_writable(workdir)
            self.data_set = describe(self.config.data)
            self._section = self.config[SECTION]
            check_modalities([self._section.modality], self.data_set.modalities, self.config.data)
            channels = self.data_set.modalities[self._section.modality]
            if channels not in (1, 3):
                raise ValueError(
                    f"the {self._section.modality} frames have {channels} channels; Zero-DCE takes one or three"
                )
            self._first = (
                read_zero_dce(Path(self._section.init).expanduser()) if self._section.init else None
            )
        check_alike(facts(self.config, self.data_set))
        self.workdir, self.mesh = workdir, make_mesh()
        self.dtype = compute_dtype(self.config.compute_dtype)
        with failing_together():
            if is_main():
                claim(self.workdir, self.config, self.data_set)
        check_shared(self.workdir)

    def run(self) -> dict[str, Any]:
        """Trains, or goes on; writes the weights and returns the result.

        Raises:
            Interrupted: SIGTERM or SIGINT asked the run to end; it is saved.
            DivergedError: the loss or gradient is no number any more.
        """
        path = self.workdir / RESULT_FILE
        earlier = found_by_main(lambda: json.loads(path.read_text()) if path.is_file() else None)
        if earlier is not None:
            _log.info("already trained in %s", self.workdir)
            return earlier
        with stop_on_signals() as stop:
            return self._run(stop)

    def _run(self, stop: StopRequest) -> dict[str, Any]:
        config, section = self.config, self._section
        _log.info("%s", describe_config(config))
        folder = self.workdir / SECTION
        if is_main():
            folder.mkdir(parents=True, exist_ok=True)
        optimizer, loss = make_optimizer(section), make_loss(section)
        graph, state = self._state(optimizer)
        place = {"process_index": jax.process_index(), "process_count": jax.process_count()}
        tester = EnhancementTester(
            make_test_step(graph, loss, self.mesh),
            lambda variables: merge(graph, variables),
            eval_batches(
                config.data,
                config.data.test_split,
                config.evaluation.batch_size,
                [section.modality],
                **place,
            ),
            self.data_set.class_names,
            config,
            folder,
            mesh=self.mesh,
            title=f"{config.name}: {'synthetic ' * self.data_set.synthetic}test clips",
        )
        with train_iterator(
            config.data, config.seed, section.batch_size, [section.modality], **place
        ) as batches:
            plan = make_plan(config, SECTION, batches.steps_per_epoch)
            _log.info(
                "Zero-DCE: %d parameters; %d steps of %d clips of %d frame(s) on %s",
                count_parameters(merge(graph, state.network)),
                plan.total_steps,
                plan.batch_size,
                config.data.segments,
                section.modality,
            )
            outcome = fit(
                SECTION,
                state,
                (),
                make_train_step(
                    graph,
                    loss,
                    optimizer,
                    section,
                    self.mesh,
                    skip_nonfinite=config.guard.nonfinite == "skip",
                ),
                batches,
                tester,
                plan=plan,
                folder=folder,
                stopping=EarlyStopping(
                    "test/loss",
                    patience=config.early_stopping.patience * plan.steps_per_epoch,
                    min_delta=config.early_stopping.min_delta,
                ),
                stop=stop,
                hparams={key: str(value) for key, value in flatten(config).items()},
                mesh=self.mesh,
                profile=config.profile,
            )
        return self._write(graph, outcome.state.network, outcome, tester)

    def _state(self, optimizer: optax.GradientTransformation) -> tuple[nnx.GraphDef, TrainState]:
        everywhere = replicated(self.mesh)
        graph, _, state = create_state(
            lambda: ZeroDCE(dtype=self.dtype, rngs=nnx.Rngs(self.config.seed)),
            _Nothing,
            optimizer,
            everywhere,
        )
        if self._first is not None:
            variables = Split.of(build_zero_dce(self._first, self.dtype)).variables
            state = state.replace(network=jax.device_put(variables, everywhere))  # type: ignore[attr-defined]
        return graph, state

    def _write(
        self, graph: nnx.GraphDef, network: Variables, outcome: Any, tester: EnhancementTester
    ) -> dict[str, Any]:
        """The weights first: where the result is, they are there too."""
        config, file = self.config, self.workdir / WEIGHTS_FILE
        tensors = zero_dce_tensors(merge(graph, jax.device_get(network)))
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError(f"the weights in {self.workdir / SECTION} are not finite; train again")
        trained_on = f"{config.data.name}/{config.data.config}"
        told = {
            "data_set": trained_on,
            "modality": str(self._section.modality),
            "steps": str(outcome.step),
            "synthetic": json.dumps(self.data_set.synthetic),
        }
        if is_main():
            write_zero_dce(file, tensors, told)
        wait_until_seen(file)
        result = {
            "config_name": config.name,
            "enhancement": "zero_dce",
            "weights": WEIGHTS_FILE,
            "sha256": digest(tensors),
            "data_set": trained_on,
            "modality": self._section.modality,
            "synthetic": self.data_set.synthetic,
            "seed": config.seed,
            "steps": outcome.step,
            "seconds": round(outcome.seconds, 1),
            "limited": bool(config.limit_train_steps or config.limit_test_clips),
            # A run that was killed between its last checkpoint and its result has not been tested here.
            "metrics": tester.latest or tester.test(network),
            "best": outcome.best,
            "commit": git_commit(),
            "config": json.loads(json.dumps(config.to_dict())),
        }
        write_json(self.workdir / RESULT_FILE, result)
        return result

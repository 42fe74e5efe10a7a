"""The peer of `benchmarks/step.py`: the same training step in PyTorch, eager or compiled."""

import contextlib
import importlib
import math
from pathlib import Path
from typing import Any

from benchmarks.job import FOLDED, LEARNER, Job, read_arrays
from benchmarks.sides import Spent, Stopwatch
from benchmarks.torch_losses import check, total
from benchmarks.torch_networks import Tensors, fold, folded, is_statistic, load, resnet, trained

torch: Any = importlib.import_module("torch")


class TorchStep:
    """One side of the comparison.

    Args:
        compiled: whether forward pass and losses go through `torch.compile`.
        threads: that PyTorch may use.
    """

    def __init__(self, compiled: bool, threads: int):
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        self._compiled = compiled
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._step: Any = None

    def describe(self) -> dict[str, Any]:
        """Version, threads and device."""
        on_gpu = self._device.type == "cuda"
        return {
            "version": str(torch.__version__),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        }

    def prepare(self, job: Job, exchange: Path) -> dict[str, Any]:
        """Takes our weights and batch, and does the first steps; returns their losses."""
        check(job.distill)
        torch.manual_seed(0)
        device, wide = self._device, torch.float32
        narrow = getattr(torch, job.dtype)
        batch = {name: torch.tensor(x).to(device) for name, x in read_arrays(exchange, "batch")}
        labels = batch["label"].long()
        tensors = load(dict(read_arrays(exchange, LEARNER)), device, train=True)
        guide: Tensors = {}
        if job.distill:
            given = load(dict(read_arrays(exchange, FOLDED)), device, train=False)
            guide = fold(given, narrow)
        mean, std = torch.tensor(job.mean).to(device), torch.tensor(job.std).to(device)

        def normalise(frames: Any) -> Any:
            # uint8 NHWC becomes channels-last NCHW without a copy.
            frames = frames.flatten(0, 1).permute(0, 3, 1, 2)
            return (frames.float() / 255 - mean) / std

        def by_clip(logits: Any, stages: list[Any]) -> tuple[Any, list[Any]]:
            maps = [m.unflatten(0, (job.batch, job.segments)).float().mean(1) for m in stages]
            return logits.unflatten(0, (job.batch, job.segments)).mean(1), maps

        def mixed() -> Any:
            if narrow is wide:
                return contextlib.nullcontext()
            return torch.autocast(device.type, dtype=narrow)

        def loss_of(tensors: Tensors, guide: Tensors, batch: Tensors) -> Any:
            shown = None
            if guide:
                with torch.no_grad():
                    frames = normalise(batch["rgb"]).to(narrow)
                    logits, stages = resnet(frames, guide, 50, folded)
                    shown = by_clip(logits, stages)
            with mixed():
                logits, stages = resnet(normalise(batch[job.modality]), tensors, job.depth, trained)
            seen = by_clip(logits.float(), stages if guide else [])
            return total(job.distill, seen, shown, labels)

        parameters = [t for name, t in tensors.items() if not is_statistic(name)]
        optimizer = torch.optim.SGD(
            parameters, lr=job.learning_rate, momentum=0.9, weight_decay=job.weight_decay
        )
        run = torch.compile(loss_of) if self._compiled else loss_of

        def step() -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = run(tensors, guide, batch)
            loss.backward()
            optimizer.step()
            return loss.detach()

        self._step = step
        losses, gradients = [], []
        for _ in range(job.checked_steps):
            losses.append(float(step()))
            squares = [float(p.grad.double().square().sum()) for p in parameters]
            gradients.append(math.sqrt(sum(squares)))
        return {"losses": losses, "grad_norms": gradients}

    def time(self, steps: int) -> Spent:
        """What a step takes: `steps` in a row after one that is not counted."""
        self._step()
        self._wait()
        watch = Stopwatch()
        for _ in range(steps):
            self._step()
        self._wait()
        spent = watch.spent(steps)
        if self._device.type == "cuda":
            # What it keeps for itself the other side could not have.
            torch.cuda.empty_cache()
        return spent

    def peak_bytes(self) -> int | None:
        """The most memory of the GPU that tensors held; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else None

    def release(self) -> None:
        """Gives the device's memory back, to the side that is measured next."""
        self._step = None
        torch.compiler.reset()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

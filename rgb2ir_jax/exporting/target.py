"""Where an export goes: files beside each other, none of which may be there already."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rgb2ir_jax.models.enhancement.stage import recorded_weights


class Target(NamedTuple):
    """The files of an export.

    Attributes:
        program: the weights, or the program with its weights.
        card: the model card.
        description: what the program must be fed, as JSON.
    """

    program: Path
    card: Path
    description: Path

    @classmethod
    def at(cls, out: Path, program: str, description: str) -> "Target":
        """The files of `--out`, in whose folder they can then be written.

        Args:
            out: a folder for all three, or the name of the program's file; the others then lie
                beside it under the same stem.
            program: its name in a folder, such as "model.onnx".
            description: likewise.

        Raises:
            ValueError: `out` is named like another kind of file, or one of the three is there, or the
                weights of an enhancement, which would pass for this network's.
        """
        suffix = Path(program).suffix
        if out.suffix == suffix:
            target = cls(out, out.with_suffix(".md"), out.with_suffix(".json"))
        elif out.suffix in _OTHER_FILES:
            raise ValueError(f"--out={out}: expected a folder, or a file that ends with {suffix}")
        else:
            target = cls(out / program, out / "README.md", out / description)
        for file in (*target, recorded_weights(target.description)):
            if file.exists():
                raise ValueError(f"{file} is there already; choose another --out, or remove it")
        target.program.parent.mkdir(parents=True, exist_ok=True)
        return target

    def write(self, card: str, description: str, program: bytes) -> list[Path]:
        """Writes all three, the program last: where it is, the rest is there too."""
        texts: Mapping[Path, str] = {self.card: card, self.description: description}
        for file, text in texts.items():
            file.write_text(text)
        draft = self.program.with_name(self.program.name + ".part")
        draft.write_bytes(program)
        draft.replace(self.program)
        return [self.program, self.card, self.description]


_OTHER_FILES = frozenset(
    (".pth", ".pt", ".bin", ".ckpt", ".onnx", ".safetensors", ".stablehlo", ".mlir", ".tflite")
)

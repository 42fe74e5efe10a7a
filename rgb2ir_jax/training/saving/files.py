"""Writing the small files of a run so that a reader never sees half of one, nor two writers."""

import json
from pathlib import Path
from typing import Any

from rgb2ir_jax.training.distributed import is_main

RESULT_FILE = "result.json"
"""Of a run and of each phase; there when it has ended."""


def write_json(path: Path, content: Any) -> None:
    """Writes JSON into a draft beside `path` and renames it; process 0 alone does."""
    if not is_main():
        return
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)

"""Writing the small files of a run so that a reader never sees half of one."""

import json
from pathlib import Path
from typing import Any

RESULT_FILE = "result.json"
"""Of a run and of each phase; there when it has ended."""


def write_json(path: Path, content: Any) -> None:
    """Writes JSON into a draft beside `path` and renames it."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)

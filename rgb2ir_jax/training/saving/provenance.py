"""Which state of the program, and of what it builds on, a run was made with."""

import importlib.metadata
import shutil
import subprocess
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_BUILDS_ON = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "numpy",
)


def package_versions() -> dict[str, str]:
    """The version of each package whose numbers a run's depend on."""
    return {package: importlib.metadata.version(package) for package in _BUILDS_ON}


def git_commit(folder: Path = _PACKAGE) -> str | None:
    """The commit that the program is checked out at, with "+changes" where files differ from it.

    Args:
        folder: in the checkout.

    Returns:
        None where there is no git, or no checkout of which `folder` is a part (an installed package).
    """
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                [git, "-C", str(folder), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    # A package in an environment below some other project's checkout is not that project's.
    if not ask("ls-files", "--", "."):
        return None
    commit = ask("rev-parse", "HEAD")
    changed = ask("status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit

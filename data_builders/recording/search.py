"""What lies below a folder: its files, and those in its zip archives, without unpacking them."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rgb2ir_jax.video.source import SourceError, VideoSource, archive_members


@dataclasses.dataclass
class Search:
    """What a search met beside the files it gave.

    Attributes:
        folder: Where it began.
        files: Number of plain files (archives included).
        archives: Number of archives that were read.
        members: Number of files in them.
        unreadable: Why an archive or a folder could not be read, by its path.
        nested: Archives within archives, which are not followed.
    """

    folder: Path
    files: int = 0
    archives: int = 0
    members: int = 0
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    nested: list[str] = dataclasses.field(default_factory=list)

    def sources(self) -> Iterator[VideoSource]:
        """Yields every file below the folder: plain ones first, then archives' members.

        The order is that of the paths, whatever the file system's, so that of two copies the same
        one is always met first. Links are followed, each folder once. Hidden files and the
        companions that macOS puts into archives are left out.
        """
        archives: list[str] = []
        for path in self._plain_files():
            self.files += 1
            if path.lower().endswith(".zip"):
                archives.append(path)
            else:
                yield VideoSource(path)
        for path in archives:
            try:
                members = archive_members(path)
            except SourceError as error:
                self.unreadable[path] = str(error)
                continue
            self.archives += 1
            for member in sorted(members):
                source = VideoSource(path, member)
                if source.name.startswith(".") or member.startswith("__MACOSX/"):
                    continue
                self.members += 1
                if source.name.lower().endswith(".zip"):
                    self.nested.append(str(source))
                else:
                    yield source

    def describe(self) -> str:
        """Returns in words what was searched."""
        inside = f", and {self.members} files in {self.archives} zip archives"
        return (
            f"{self.folder} and every folder below it ({self.files} files"
            f"{inside if self.archives else ''})"
        )

    def notes(self) -> dict[str, Any]:
        """Returns what a build's report says of the search."""
        return {
            "searched": self.describe(),
            "unreadable_archives": list(self.unreadable.values()),
            "archives_within_archives_(not_read)": self.nested,
        }

    def _plain_files(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for parent, folders, names in os.walk(
            self.folder, followlinks=True, onerror=self._skip_folder
        ):
            stat = Path(parent).stat()
            if (stat.st_dev, stat.st_ino) in seen:
                folders.clear()
                continue
            seen.add((stat.st_dev, stat.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            # Strings, as there may be a million of them.
            yield from (f"{parent}{os.sep}{name}" for name in sorted(names) if name[0] != ".")

    def _skip_folder(self, error: OSError) -> None:
        self.unreadable[str(error.filename)] = (
            f"{error.filename}: cannot be read ({error.strerror})"
        )

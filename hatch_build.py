"""README.md as a package index shows it: the links and pictures of the file lead to the repository."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK_IN_THE_REPOSITORY = re.compile(r"(!?\[[^\]]*\])\((?!\w+:|#)([^)\s]+)\)")


class ReadmeOfAnIndex(MetadataHookInterface):
    """Make the long description of README.md, with the address of the repository that stands in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def update(self, metadata):
        """Set the long description."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = with_absolute_links(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_absolute_links(text, repository):
    """The text, with links and pictures that work outside of the repository."""

    def absolute(found):
        label, path = found.groups()
        kind = "raw" if label.startswith("!") else "blob"
        return f"{label}({repository}/{kind}/HEAD/{path})"

    return LINK_IN_THE_REPOSITORY.sub(absolute, text)

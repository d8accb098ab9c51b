"""The addresses of the project, which stand in pyproject.toml alone, under [project.urls].

Without an option, write them into the files that cannot read pyproject.toml. With ``--check``, fail if such a file has
other addresses, or if OWNER is not filled in yet.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIES = {  # file: the lines with a copy, and the name of the address in [project.urls]
    "CITATION.cff": {"url": "Documentation", "repository-code": "Repository"},
    "conda/meta.yaml": {"  home": "Repository", "  dev_url": "Repository", "  doc_url": "Documentation"},
}


def addresses():
    """The addresses by name."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]


def copied(file):
    """The text of a file with the addresses of pyproject.toml."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for key, name in COPIES[file].items():
        text, found = re.subn(rf"(?m)^{key}: .*$", f"{key}: {addresses()[name]}", text)
        if found != 1:
            raise SystemExit(f"{file} must have one line {key.strip()!r}; it has {found}.")
    return text


def main():
    """Write the copies, or check them."""
    stale = [file for file in COPIES if (ROOT / file).read_text(encoding="utf-8") != copied(file)]
    if "--check" not in sys.argv:
        for file in stale:
            (ROOT / file).write_text(copied(file), encoding="utf-8")
    elif stale:
        raise SystemExit(f"Run python .ci/addresses.py: {', '.join(stale)} have other addresses than pyproject.toml.")
    elif any("OWNER" in address for address in addresses().values()):
        raise SystemExit("Fill in OWNER under [project.urls] in pyproject.toml, then run python .ci/addresses.py.")


if __name__ == "__main__":
    main()

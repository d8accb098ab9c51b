"""The files of each room of the package, for the architecture page: the first line of a file says what it holds."""

import ast
from pathlib import Path

HOUSE = Path(__file__).parents[1] / "gdlogit"


def write(folder):
    """Write rooms.txt: the files at the door of the package, then those of each folder."""
    folder.mkdir(exist_ok=True)
    rooms = [HOUSE, *sorted(path.parent for path in HOUSE.glob("*/__init__.py"))]
    (folder / "rooms.txt").write_text("\n".join(_room(room) for room in rooms), encoding="utf-8")


def _room(room):
    title = "gdlogit/" if room == HOUSE else f"{room.name}/"
    files = [path for path in sorted(room.glob("*.py")) if path.name != "__init__.py"]
    head = f"{title}\n{'~' * len(title)}\n\n{_summary(room / '__init__.py')}\n\n.. list-table::\n   :widths: 25 75\n\n"
    return head + "".join(f"   * - `{path.name}`\n     - {_summary(path)}\n" for path in files)


def _summary(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return docstring.split("\n\n")[0].replace("\n", " ")

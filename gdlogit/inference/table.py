"""Tables in statsmodels' layout: as text, and as HTML in a notebook."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

__all__ = ["Block", "Table", "digits", "probability"]

WIDTH = 78
LABEL_WIDTH = 12  # least width of the labels


class Block(NamedTuple):
    """Rows of numbers: a heading for their labels, the names of the columns, and for each row its label and cells."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


class Table(NamedTuple):
    """A title, facts about the fit in two columns, blocks of numbers, and notes."""

    title: str
    facts: Sequence[tuple[str, str]]
    blocks: Sequence[Block]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        """The table as text."""
        wide = max([LABEL_WIDTH, *(len(text) for block in self.blocks for text in (block.heading, *dict(block.rows)))])
        cells = [max(len(name), 9) + 2 for name in self.blocks[0].columns]
        width = max(WIDTH, wide + sum(cells))
        lines = [self.title.center(width).rstrip(), "=" * width, *paired(self.facts, width), "=" * width]
        for i, block in enumerate(self.blocks):
            lines += ["-" * width] * (i > 0)
            lines.append(line(block.heading.center(wide), block.columns, cells))
            lines.append("-" * width)
            lines += [line(label.ljust(wide), values, cells) for label, values in block.rows]
        return "\n".join([*lines, "=" * width, *self.notes])

    def __repr__(self) -> str:
        """The table as text."""
        return str(self)

    def _repr_html_(self) -> str:
        """The table as HTML."""
        half = -(-len(self.facts) // 2)
        pairs = zip(self.facts[:half], [*self.facts[half:], ("", "")], strict=False)
        head = "".join(
            html_row(
                [f"<th>{escape(t)}</th>" if i % 2 == 0 else f"<td>{escape(t)}</td>" for i, t in enumerate((*a, *b))]
            )
            for a, b in pairs
        )
        body = ""
        for block in self.blocks:
            body += html_row(f"<th>{escape(text)}</th>" for text in (block.heading, *block.columns))
            for label, values in block.rows:
                body += html_row([f"<th>{escape(label)}</th>", *(f"<td>{escape(value)}</td>" for value in values)])
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f'<table class="simpletable">{caption}{head}</table><table class="simpletable">{body}</table>{notes}'


def html_row(cells) -> str:
    """A row of HTML cells."""
    return f"<tr>{''.join(cells)}</tr>"


def line(label: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of a block."""
    return label + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def paired(facts: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Facts in two columns, the first half on the left."""
    half, left = -(-len(facts) // 2), width // 2 - 1
    texts = [f"{name:<18}{value:>{left - 18}}" for name, value in facts]
    texts += [""] * (2 * half - len(texts))
    return [f"{a:<{left}}  {b}".rstrip() for a, b in zip(texts[:half], texts[half:], strict=True)]


def digits(value: float) -> str:
    """A number with four digits after the point, or in powers of ten where it is large or small; blank for nan."""
    if np.isnan(value):
        return "nan"
    return f"{value:.3e}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.4f}"


def probability(value: float) -> str:
    """A p-value with three digits."""
    return "nan" if np.isnan(value) else f"{value:.3f}"

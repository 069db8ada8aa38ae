"""One self-contained HTML page: headings, sentences, tables, pictures and listings."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from segkit.durable import replace_file

__all__ = ["Section", "write_page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 74rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0.2rem; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
td, th { padding: 0.25rem 0.9rem 0.25rem 0; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }
td.number { text-align: right; }
pre { overflow-x: auto; padding: 0.8rem; border: 1px solid #8884; border-radius: 4px; font-size: 0.85rem; }
img { max-width: 100%; height: auto; border-radius: 4px; background: white; }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    title
        Its heading.
    text
        A sentence or two below it.
    picture
        A PNG file, or empty.
    rows
        A table; numbers are aligned to the right.
    code
        Text that is shown as it is, such as a file; empty for none.
    """

    title: str
    text: str = ""
    picture: bytes = b""
    rows: Sequence[Sequence[str | float | int]] = field(default_factory=tuple)
    code: str = ""


def _cell(value: str | float | int) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return f'<td class="number">{text}</td>'


def write_page(path: Path, title: str, summary: str, sections: Sequence[Section]) -> None:
    """Write a page that needs no other file.

    Parameters
    ----------
    path
        The HTML file.
    title, summary
        What it is about, in a heading and a sentence.
    sections
        What it shows, from top to bottom.
    """
    parts = [f"<h1>{escape(title)}</h1><p>{escape(summary)}</p>"]
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        if section.text:
            parts.append(f"<p>{escape(section.text)}</p>")
        if section.rows:
            lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in section.rows)
            parts.append(f"<table>{lines}</table>")
        if section.picture:
            encoded = base64.b64encode(section.picture).decode()
            parts.append(f'<img alt="{escape(section.title)}" src="data:image/png;base64,{encoded}">')
        if section.code:
            parts.append(f"<pre>{escape(section.code)}</pre>")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    replace_file(path, f'<!doctype html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'.encode())

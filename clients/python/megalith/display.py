"""HTML for notebooks."""

import html
from typing import Any, Iterable, Optional, Sequence, Tuple

_MONO = "font-family:monospace;text-align:left"


def table(title: str, rows: Iterable[Sequence[Any]], header: Optional[Sequence[str]] = None) -> str:
    """A table whose cells are escaped."""
    def cells(row: Sequence[Any], tag: str) -> str:
        return "".join(f'<{tag} style="{_MONO}">{html.escape(str(c))}</{tag}>' for c in row)
    head = f"<tr>{cells(header, 'th')}</tr>" if header else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><caption><b>{html.escape(title)}</b></caption>{head}{body}</table>"


def folded(summary: str, text: str) -> str:
    """Long text that opens on a click."""
    return f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def signature(inputs: Iterable[Any], outputs: Iterable[Any]) -> str:
    """(f32[3], i32[]) -> f32[]."""
    def join(types: Tuple[Any, ...]) -> str:
        return ", ".join(map(str, types))
    outs = tuple(outputs)
    return f"({join(tuple(inputs))}) -> " + (join(outs) if len(outs) == 1 else f"({join(outs)})")

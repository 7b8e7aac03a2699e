"""Formulas as outlines that matplotlib draws: no script, no font and no network when reading."""

import functools
import html
from typing import Any

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

_SIZE = 100.0
"""Font size at which outlines are made, so that whole numbers are fine enough."""

_SCALE = 1.05
"""Height of the formulas' font by that of the text around."""

_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@functools.cache
def drawn(tex: str) -> str:
    """Return a formula as an inline ``svg`` in the colour of the text, on its baseline."""
    text, font = f"${tex}$", FontProperties(size=_SIZE)
    width, height, depth, *_ = MathTextParser("path").parse(text, 72, font)
    outline = TextPath((0, 0), text, prop=font)
    parts = []
    for points, code in outline.iter_segments(simplify=False, curves=True):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        else:
            # SVG counts downwards.
            numbers = (f"{x:.0f} {-y:.0f}" for x, y in points.reshape(-1, 2))
            parts.append(_COMMANDS[code] + " ".join(numbers))
    em = _SCALE / _SIZE
    box = f"0 {depth - height:.0f} {width:.0f} {height:.0f}"
    style = (
        f"width:{width * em:.3f}em;height:{height * em:.3f}em;vertical-align:{-depth * em:.3f}em;"
        "overflow:visible"
    )
    return (
        f'<svg role="img" aria-label="{html.escape(tex)}" viewBox="{box}" style="{style}">'
        f'<path fill="currentColor" d="{"".join(parts)}"/></svg>'
    )


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_safely_drawn(node.astext(), node))
    raise nodes.SkipNode


def _display(translator: Any, node: nodes.math_block) -> None:
    svg = _safely_drawn(node.astext().replace(r"\frac", r"\dfrac"), node)
    translator.body.append(f'<div style="text-align:center;margin:1em 0">{svg}</div>')
    raise nodes.SkipNode


def _safely_drawn(tex: str, node: nodes.Element) -> str:
    tex = " ".join(tex.split())
    try:
        return drawn(tex)
    except ValueError as error:
        problem = str(error).strip().splitlines()[-1]
        logger.warning("matplotlib cannot draw %r: %s", tex, problem, location=node)
        return f"<code>{html.escape(tex)}</code>"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("drawn", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Formulas as MathML, which browsers draw without a script: no MathJax, no request, any theme."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer that `html_math_renderer = "mathml"` names."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    """A formula on a line of its own, with its number where it has a label."""
    number = get_node_equation_number(translator, node) if node["number"] else ""
    translator.body.append('<div class="math">')
    translator.body.append(convert(node.astext(), display="block"))
    if number:
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode

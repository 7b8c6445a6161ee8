"""Sphinx's settings: sphinx-build -W --keep-going -b html docs docs/_build/html.

The pages are Markdown that reads well in the repository, too: links are relative and may lead
to files outside docs/, which the site offers as downloads.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

import mcltoolkit

project = "mcltoolkit"
author = "the mcltoolkit developers"
release = version = mcltoolkit.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = False

html_theme = "furo"
html_title = f"mcltoolkit {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

napoleon_custom_sections = [("Class attributes", "params_style")]

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)\)")
_CODE = re.compile(r"`[^`\n]+`(?P<after>[\w^])?")
_OF_A_VALUE = ("attribute", "property", "data")


def _outside(match):
    """A link to a file of the repository, as the site has it."""
    text, path = match.groups()
    if path == "README.md":
        return f"[{text}](index.md)"
    if not (ROOT / path).is_file():
        return match[0]  # Sphinx warns of it
    return f"{{download}}`{text.strip('`')} </../{path}>`"


def _rewrite_links(app, docname, source):
    source[0] = _OUTSIDE.sub(_outside, source[0])


def _spaced(match):
    """`Name`s: reStructuredText wants an (invisible) space before the s."""
    after = match["after"]
    return match[0] if after is None else f"{match[0][:-1]}\\ {after}"


def _as_markup(app, what, name, obj, options, lines):
    """Docstrings are written for people who read the code; here they become reStructuredText."""
    made = []
    for number, line in enumerate(lines):
        before = next((text for text in reversed(made) if text), "")
        block = line.startswith("    ") and number and not lines[number - 1].strip()
        if block and before and not before.startswith(" "):  # indented lines stay as they are
            made += ["::", ""]
        made.append(_CODE.sub(_spaced, line.replace("|", "\\|")))
    if what in _OF_A_VALUE and made:
        made[0] = made[0].replace(": ", " - ", 1)  # or napoleon takes what precedes for a type
    lines[:] = made


def _formula(self, node):
    """MathML, which browsers draw by themselves: no script from elsewhere, and it works offline."""
    self.body.append(convert(node.astext(), display="inline"))
    raise SkipNode


def _display(self, node):
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app):
    """Draw formulas; have links to files outside docs/ and docstrings rewritten."""
    app.add_html_math_renderer("mathml", (_formula, None), (_display, None))
    app.connect("source-read", _rewrite_links)
    app.connect("autodoc-process-docstring", _as_markup, priority=100)

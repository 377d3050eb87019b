"""Sphinx's settings for the site; tools/pages.py gathers what it reads."""

import re
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert

project = "PyTorch by hand"
html_title = project
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.githubpages"]
extensions += ["sphinx_copybutton"]
nb_execution_mode = "off"
nb_output_stderr = "remove"
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show the output"
nb_code_prompt_hide = "Fold the output"
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "tools.pages.anchor"
exclude_patterns = ["conf.py", "extra", "_templates"]

ElementTree.register_namespace("", "http://www.w3.org/1998/Math/MathML")
MATHML = "{http://www.w3.org/1998/Math/MathML}"
OPERATORS = {"=", "≈", "+", "−", "≤", "≥"}
TRAILING_UNDERSCORE = re.compile(r"(?<=\w)_(?=\W|$)(?=[^`]*(?:`[^`]*`[^`]*)*$)")

# The helpers' docstrings are plain text with `code` in it.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_favicon = "favicon.svg"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_extra_path = ["extra"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
html_math_renderer = "mathml"  # which browsers draw without a script
copybutton_selector = "div:not(.output) > div.highlight > pre"


def inline_math(translator, node):
    """Write a formula that stands in a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display_math(translator, node):
    """Write a formula that stands alone, in parts that a narrow screen can wrap."""
    formula = ElementTree.fromstring(convert(node.astext(), display="block"))
    parts = [ElementTree.tostring(part, "unicode") for part in split_formula(formula)]
    translator.body.append(f'<div class="formula">{" ".join(parts)}</div>')
    raise nodes.SkipNode


def split_formula(formula):
    """Return a formula's parts; each but the first begins with an operator."""
    parts, depth = [], 0
    for element in formula[0]:
        text = "".join(element.itertext())
        is_operator = element.tag == MATHML + "mo" and text in OPERATORS
        if not parts or (is_operator and depth == 0):
            part = ElementTree.Element(formula.tag, displaystyle="true")
            parts.append(part)
        if is_operator:
            element.set("form", "infix")  # with its space, though it comes first
        part.append(element)
        depth += text.count("(") - text.count(")")
    return parts


def escape_docstring(app, what, name, obj, options, lines):
    """Keep names that end in an underscore from being read as references."""
    lines[:] = [TRAILING_UNDERSCORE.sub(r"\\_", line) for line in lines]


def setup(app):
    """Let Sphinx write formulas as MathML, and read docstrings as they are meant."""
    app.connect("autodoc-process-docstring", escape_docstring)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(inline_math, None),
        block_renderers=(display_math, None),
    )

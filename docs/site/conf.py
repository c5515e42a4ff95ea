"""Sphinx's configuration of the documentation site; ``make docs`` runs it on sources that scripts/site makes.

Nothing is fetched, when it is built or when it is read: no remote inventories, fonts or scripts.
"""

from importlib.metadata import version as installed
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from cooee import client

project = "Cooee"
author = "the authors of Cooee"
copyright = "the authors of Cooee, Apache-2.0"  # noqa: A001  # Sphinx's name
version = release = installed("cooee")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["files/**"]
default_role = "code"
highlight_language = "text"

myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
# Names of other libraries and of private modules, which this site has no page about.
nitpick_ignore_regex = [(r"py:.*", r"(?!cooee\.client\.).*"), (r"py:.*", r"cooee\.client\.\w+\..*")]

html_theme = "furo"
html_title = f"Cooee {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def _public(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement) -> nodes.Element | None:
    """Let a reference to a name where it is defined lead to where it is public."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in client.__all__:
        return None
    target = f"cooee.client.{name}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, shown)


def setup(app: Sphinx) -> dict[str, Any]:
    """Take part in Sphinx's build."""
    app.add_lexer("transcript", TextLexer)  # the form of the sessions in PROTOCOL.md
    app.connect("missing-reference", _public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

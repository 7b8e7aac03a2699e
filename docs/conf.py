"""Sphinx's configuration: ``sphinx-build -W --keep-going -n docs site``."""

import shutil
import sys
from pathlib import Path

import atlasinit

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

# Sphinx reads below its own folder only.
(DOCS / "tutorials").mkdir(exist_ok=True)
for notebook in (DOCS.parent / "tutorials").glob("*.ipynb"):
    page = DOCS / "tutorials" / notebook.name
    if not page.exists() or page.read_bytes() != notebook.read_bytes():
        shutil.copy(notebook, page)

from public_names import page_of, public_names  # noqa: E402

project = "atlasinit"
author = "The atlasinit developers"
copyright = author  # noqa: A001
version = release = atlasinit.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_copybutton",
    "drawn_math",
    "public_names",
]
exclude_patterns = ["extensions", "figures", "_templates", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# What begins with another name is not this package's. No inventory of another package is
# fetched, so that the build needs no network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!atlasinit\b).*")]
nitpick_ignore = [
    # A protocol that stands for a class of nilearn.
    ("py:class", "atlasinit.io.input.SurfaceImage"),
    # What errors, layers, sources and extractions are made of, which no user makes.
    ("py:class", "atlasinit.errors.Phrase"),
    ("py:class", "atlasinit.errors.Voice"),
    ("py:class", "atlasinit.core.header.AtlasHeader"),
    ("py:class", "atlasinit.io.values.Sums"),
    ("py:class", "atlasinit.extraction.planning.Plan"),
    ("py:class", "atlasinit.extraction.planning.LabelledAtlas"),
]

# Docstrings put parameters and names alike in single back-ticks; what is found becomes a link.
default_role = "py:obj"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autosummary_generate = True
autosummary_filename_map = {name: page_of(name) for name in public_names()}
python_maximum_signature_line_length = 88
toc_object_entries = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

plot_formats = [("png", 110)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"figure.facecolor": "white"}
plot_apply_rcparams = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"atlasinit {version}"
html_math_renderer = "drawn"
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

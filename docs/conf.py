"""How Sphinx builds the documentation; `make docs` runs it, warnings are errors."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "edge-ood"
version = release = metadata.version("edge-ood")

extensions = ["myst_parser", "mathml", "offline", "registries", "documents"]
exclude_patterns = ["_*"]
smartquotes = False  # it would make one long dash of the two that begin an option

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"edge-ood {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
_options = {
    "color-api-name": "var(--color-brand-content)",
    "color-api-pre-name": "var(--color-foreground-secondary)",
}
html_theme_options = {
    "light_css_variables": _options,
    "dark_css_variables": _options,
}

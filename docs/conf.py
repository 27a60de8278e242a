"""The site: `make docs` writes it to build/site, and stops at a link, an anchor or a name that leads nowhere."""

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import reference_pages  # noqa: E402

import scanssc_core  # noqa: E402

project = "scanssc_ros"
author = "scanssc_ros maintainers"
copyright = f"{author}, Apache-2.0"
version = release = scanssc_core.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["images"]

# Headings are anchors, as on a forge's page: model.md#the-lite-model.
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the reference's parts are headings of different depth

autodoc_default_options = {"members": True, "no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what an array is; the hints say only that it is one
napoleon_use_ivar = True
# A name of our own pages has to be among those of python.md; types of others' packages need not.
nitpicky = True
nitpick_ignore_regex = [("py:(?!obj$).*", ".*")]

html_theme = "alabaster"
html_title = f"scanssc_ros {version}"
html_theme_options = {
    "description": "Semantic occupancy from a stereo camera, for ROS 2",
    "fixed_sidebar": True,
    "page_width": "1240px",
    "body_max_width": "none",
    "sidebar_width": "240px",
}

#: Pages that lie elsewhere in the repository, where a forge shows them. Each has a file here that includes it.
PAGES_ELSEWHERE = {
    ROOT / "README.md": "index.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "QUALITY_DECLARATION.md": "quality.md",
    ROOT / "scanssc_core" / "weights" / "README.md": "model_card.md",
}


def include_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put included pages in place, and lead links to them to their page here."""
    folder = (DOCS / docname).parent

    def relinked(text: str, base: Path) -> str:
        def relink(match: re.Match) -> str:
            target = (base / match[1]).resolve()
            page = DOCS / PAGES_ELSEWHERE[target] if target in PAGES_ELSEWHERE else target
            return f"]({os.path.relpath(page, folder)}{match[2] or ''})"

        return re.sub(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)", relink, text)

    def included(match: re.Match) -> str:
        file = (folder / match[1]).resolve()
        app.env.note_dependency(str(file))
        return relinked(file.read_text(), file.parent)

    own = relinked(source[0], folder)
    source[0] = re.sub(r"^```\{include\} (\S+)\n```$", included, own, flags=re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    reference_pages.write_pages(DOCS / "reference")
    app.connect("source-read", include_pages)

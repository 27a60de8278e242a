"""The site is built without a warning, and every command of the tutorials says how it is checked."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))

spec = importlib.util.spec_from_file_location("run_docs", ROOT / "tools" / "run_docs.py")
run_docs = importlib.util.module_from_spec(spec)
sys.modules["run_docs"] = run_docs  # dataclass looks its module up
spec.loader.exec_module(run_docs)


@pytest.mark.slow
def test_site_is_built_with_every_link_anchor_and_name_leading_somewhere(tmp_path):
    pytest.importorskip("myst_parser", reason="the extra docs is for Python 3.11 or newer")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", ROOT / "docs", tmp_path / "site"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    topics = (tmp_path / "site" / "reference" / "topics.html").read_text()
    assert "~/occupancy" in topics and "~/save_map" in topics
    assert (tmp_path / "site" / "searchindex.js").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_run_or_says_why_not(page):
    blocks = run_docs.blocks_of(page)
    assert any(block.kind == "run" for block in blocks)
    assert all((ROOT / block.detail).exists() for block in blocks if block.kind == "tested by")
    assert all(block.detail for block in blocks if block.kind == "Needs")
    run_docs.script_of(blocks)  # every substitution finds what it makes short


def test_block_without_a_word_on_its_check_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```bash\nls\n```\n")
    with pytest.raises(ValueError, match=r"page\.md: expected a comment, one of run, background, .*'ls"):
        run_docs.blocks_of(page)


def test_what_a_block_needs_is_written_where_the_reader_sees_it(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("*Needs a camera.*\n```bash\nls\n```\n")
    assert run_docs.blocks_of(page) == [run_docs.Block("Needs", "a camera.", "ls\n")]
    page.write_text("<!-- Needs a camera. -->\n```bash\nls\n```\n")
    with pytest.raises(ValueError, match=r"or \*Needs"):
        run_docs.blocks_of(page)


def test_page_fails_with_its_first_failing_command_and_with_a_program_that_ended_beside_it(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```bash\nfalse\ntrue\n```\n")
    assert not run_docs.run_page(page)
    page.write_text("<!-- background -->\n```bash\nfalse\n```\n<!-- run -->\n```bash\nsleep 0.2\n```\n")
    assert not run_docs.run_page(page)
    page.write_text("<!-- background -->\n```bash\nsleep 60\n```\n<!-- run s/4/3/ -->\n```bash\ntest 4 = 3\n```\n")
    assert run_docs.run_page(page)


def test_substitution_that_changes_nothing_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- run s/ten/one/ -->\n```bash\necho 10\n```\n")
    with pytest.raises(ValueError, match="s/ten/one/ changes nothing"):
        run_docs.script_of(run_docs.blocks_of(page))

"""What a reader meets: links lead somewhere, every node and template is named, and the README stays short."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 150


def pages():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True, encoding="utf-8")
    return sorted(ROOT / line for line in listed.stdout.splitlines())


def base(page):
    """Where links start: the interface shows a help page in another language as if it lay beside the English one."""
    return page.parents[1] if page.parent.parent == ROOT / "web" / "docs" else page.parent


def anchors(page):
    """Of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?:|/", target):
            continue
        file, _, anchor = target.partition("#")
        linked = base(page) / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_templates_are_named_as_they_are(page):
    templates = {path.stem for path in (ROOT / "example_workflows").glob("*.json")}
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    for name in re.findall(r"\*(\d\d [^*]+)\*", text):
        assert name in templates, name


def test_every_node_is_in_the_list():
    listed = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
    for page in (ROOT / "web" / "docs").glob("*.md"):
        title = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE).group(1)
        names = {title, re.sub(r"^(Save|Load) ", "Save / Load ", title)}
        assert any(f"| {name} |" in listed for name in names), title


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST

"""The documentation site: built without a warning, with links that lead somewhere."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "sphinx-build -W --keep-going -b html docs docs/_build/html"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    options = COMMAND.split()[1:-2]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", *options, "-d", out / "trees", "docs", out / "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", "no warnings"
    return out / "html"


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.targets, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(attributes[k] for k in ("id", "name") if attributes.get(k))
        self.targets += [attributes[k] for k in ("href", "src") if attributes.get(k)]


def read(file):
    links = Links()
    links.feed(file.read_text())
    return links


def test_every_page_is_there_and_in_the_table_of_contents(site):
    pages = {
        f.relative_to(ROOT / "docs").with_suffix(".html") for f in (ROOT / "docs").glob("*.md")
    }
    pages |= {Path("api") / f"{f.stem}.html" for f in (ROOT / "docs" / "api").glob("*.md")}
    assert len(pages) > 25
    assert [page for page in pages if not (site / page).is_file()] == []
    listed = {urlsplit(target).path for target in read(site / "index.html").targets}
    assert {str(page) for page in pages} - listed <= {"index.html"}


def test_links_inside_the_site_resolve(site):
    pages = {file.resolve(): read(file) for file in site.rglob("*.html")}
    broken, checked = [], 0
    for file, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith("#__"):
                continue
            checked += 1
            place = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            known = pages[place].anchors if place in pages else None
            missing = parts.fragment and known is not None and unquote(parts.fragment) not in known
            if not place.exists() or missing:
                broken.append(f"{file.name}: {target}")
    assert checked > 1000
    assert broken == []


def test_formulas_are_drawn_without_scripts_from_elsewhere(site):
    method = (site / "method.html").read_text()
    assert method.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"') == 4
    for file in site.rglob("*.html"):
        assert not [t for t in read(file).targets if t.startswith(("http", "//")) and ".js" in t]


def test_the_reference_has_what_plugins_and_programs_use(site):
    for page, names in {
        "inference": ("load_model", "translate", "TranslationModel"),
        "registry": ("Registry", "build_component"),
        "hookspecs": ("register_components",),
        "structures": ("Batch", "Translation", "Match"),
        "losses": ("MarginalContrastiveLoss", "contextual_loss"),
        "testing": ("LossTests",),
        "export": ("export_model",),
    }.items():
        anchors = read(site / "api" / f"{page}.html").anchors
        for name in names:
            assert any(anchor.endswith(f".{name}") for anchor in anchors), (page, name)

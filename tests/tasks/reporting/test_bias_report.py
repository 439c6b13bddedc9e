import re
from pathlib import Path

import pytest

from tasks.lake import Version
from tasks.reporting.bias_report import context
from tasks.reporting.report import render
from tests.tasks.audited_pool import audited
from tests.tasks.reporting.test_report import Page

ROW = {"target": "margin", "group": "<b>woman</b>", "of": None, "n_kept": 40, "effective_samples": 31.0, "wanted": 0.5}
WEIGHTS = {
    "method": "balance", "kept": 335, "effective_sample_size": 300.0, "ess_share": 0.9, "pareto_k": 0.8,
    "max_weight": 10.0, "cap": 10.0, "cap_cost": None, "restored": [], "not_restored": [], "held_out": None,
    "targets": [{**ROW, "before": 0.1, "after": 0.3, "reason": "out of reach: 30% is the nearest"}],
    "targets_file": "targets.toml", "notes": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    version = audited(tmp_path_factory.mktemp("bias report"))
    return version.derive("reweight", config={"method": "balance"}, summary=WEIGHTS)


@pytest.fixture(scope="module")
def html(version: Version) -> str:
    return render(version, pictures=False)


def test_the_page_with_its_plots_and_matrix_is_whole_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not any(word in html for word in ("url(", "http:", "https:", "@import"))


def test_plots_stand_with_the_level_of_their_intervals(html: str) -> None:
    text = Page(html).text
    assert text.count("95% intervals, each for itself") == 2  # keywords and groups
    level = re.search(r"all their intervals are wider, of level ([0-9.]+)%", text)
    assert level is not None and 95 < float(level[1]) < 100


def test_plots_show_pool_filter_kept_and_weighted_by_their_own_shapes(html: str) -> None:
    for kind in ("pool", "filter", "plain", "weighted"):
        assert f'class="point {kind}"' in html


def test_keywords_in_the_plot_stand_largest_first_and_indented_groups_below_theirs(version: Version) -> None:
    found = context(version)
    assert [row["label"] for row in found["keywords"]] == ["woman", "man"]
    plot = str(found["plots"]["groups"])
    names = re.findall(r'<text x="([0-9.]+)"[^>]*class="label">([^<]+)', plot)
    assert [name for _, name in names][:4] == ["person", "woman", "man", "old"]
    assert [float(x) for x, _ in names][:4] == [4, 18, 18, 32]


def test_the_matrix_has_both_stages_beside_each_other_and_marks_what_is_significant(html: str) -> None:
    matrix = html[html.index('<table class="matrix">') : html.index("</table>", html.index('<table class="matrix">'))]
    assert matrix.count('<th scope="col">pool</th><th scope="col">after</th><th scope="col" title="change">Δ</th>') == 1
    assert re.search(r'<td class="v significant s4"[^>]*>\+∞<i>•</i></td>', matrix)
    assert "person/woman" in matrix and "nobody" not in matrix


def test_declared_targets_are_listed_with_what_is_out_of_reach_and_names_are_text(html: str) -> None:
    assert "<b>woman</b>" not in html and "“&lt;b&gt;woman&lt;/b&gt;” has 50% of all weight" in html
    assert "Out of reach: 30% is the nearest." in html and "targets.toml" in html


def test_weights_are_explained_in_words(html: str) -> None:
    text = Page(html).text
    assert "as uncertain as over 300 that count the same" in text
    assert "do not trust means by weight" in text


def test_every_table_behind_the_plots_is_named(html: str) -> None:
    for name in ("words.csv", "groups.csv", "associations.csv"):
        assert f"<code>{name}</code>" in html


def test_attributes_without_groups_in_captions_are_told(tmp_path: Path) -> None:
    from tasks import audit
    from tests.tasks.captioned import captioned, map_here

    (tmp_path / "groups.toml").write_text('[groups.martian]\nterms = ["martian"]\n[attributes.old]\nterms = ["old"]\n')
    config = audit.Config(groups=str(tmp_path / "groups.toml"))
    version = audit.run(captioned(tmp_path, ["a tree", "an old tree", "a house"]), config, map_here)
    assert "No caption of the pool is in any of the groups" in Page(render(version, pictures=False)).text

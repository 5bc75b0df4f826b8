"""The pages say what the code computes: `make cost`, `make scale` and `python -m bench.publish` write them anew."""

import json
from collections.abc import Mapping

import pytest

from bench import goals, publish
from bench.cost import prices, report
from bench.document import DOCS, blocks, table, written
from bench.scale import report as scale_report


def check(document: str, computed: Mapping[str, str], images: Mapping[str, str]) -> None:
    assert blocks((DOCS / document).read_text(encoding="utf-8")) == computed
    for name, svg in images.items():
        assert (DOCS / "img" / name).read_text(encoding="utf-8") == svg, f"docs/img/{name} is of another run"


def test_the_page_on_cost_is_what_the_code_prints() -> None:
    check("cost.md", report.tables(), report.plots())


@pytest.mark.slow
def test_the_page_on_scale_is_what_the_code_prints() -> None:
    check("scale.md", scale_report.tables(), scale_report.plots())


def test_the_tables_of_speed_are_those_of_the_results_beside_them() -> None:
    results = json.loads(publish.RESULTS.read_text(encoding="utf-8"))
    for path, text in publish.pages(results).items():
        assert path.read_text(encoding="utf-8") == text, path.name
    assert results["results"] == goals.medians(results["samples"])


def test_every_price_names_its_page_and_its_day() -> None:
    assert len(prices.ALL) > 20
    for price in prices.ALL:
        assert price.usd > 0, price
        assert price.source.startswith("https://aws.amazon.com/"), price
        assert len(price.as_of) == len("2026-11-24"), price


def test_a_block_without_a_place_in_the_page_is_an_error() -> None:
    with pytest.raises(KeyError, match="no place for idle"):
        written("<!-- computed: work -->\n\n<!-- end -->", {"work": "x", "idle": "y"})


def test_figures_stand_to_the_right() -> None:
    assert table(["a", "b", "c"], [["x", "1", "word"]]) == "| a | b | c |\n| --- | ---: | --- |\n| x | 1 | word |"

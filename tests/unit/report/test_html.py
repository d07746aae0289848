from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from edgebuild.report.classes import per_class
from edgebuild.report.html import render_html
from edgebuild.report.markup import VOID
from edgebuild.report.plots import tradeoff
from tests.unit.fixtures_report import batch_run, failed_run, hostile_run, sample_run

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult


class Page(HTMLParser):
    """What the page consists of; an element that is closed wrongly fails the test."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page)


@pytest.mark.parametrize("make", [sample_run, failed_run, hostile_run])
def test_the_page_is_well_formed_with_unique_ids(tmp_path: Path, make: object) -> None:
    page = Page(render_html(make(tmp_path)))  # type: ignore[operator]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"] for tag, a in page.elements if tag in {"a", "use"} and a.get("href")}
    assert {str(link) for link in links} <= {f"#{one}" for one in ids}


def test_nothing_is_fetched(tmp_path: Path) -> None:
    page = Page(render_html(sample_run(tmp_path)))
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,")), (tag, value)
    assert "url(" not in render_html(sample_run(tmp_path))


def test_the_policy_allows_the_page_s_own_script_alone(tmp_path: Path) -> None:
    text = render_html(sample_run(tmp_path))
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in text
    assert "default-src &#x27;none&#x27;" in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = Page(render_html(hostile_run(tmp_path)))
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_every_section_is_there(tmp_path: Path) -> None:
    page = Page(render_html(sample_run(tmp_path)))
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == [
        "verdicts", "findings", "metrics", "tradeoff", "classes", "pictures", "dag", "actions", "protocol",
    ]  # fmt: skip


def test_a_skipped_target_never_looks_passed(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    run = replace(run, targets=run.targets[3:], actions=(), exit_code=0)
    text = text_of(render_html(run))
    assert "incomplete" in text
    assert "magicmind was not found" in text
    assert not re.search(r"✓|\bpassed\b(?!\))", text.split("Verdicts")[-1].split("edgebuild report of")[0])


def test_verdicts_show_value_limit_and_evidence(tmp_path: Path) -> None:
    text = " ".join(text_of(render_html(sample_run(tmp_path))).split())
    assert "mAP 50-95 ≤ 0.02 below float 0.0460 below (0.8271) 0.8731 proxy ✗ missed" in text
    assert "latency p50 ≤ 40 ms not measured demanded: device ? unmeasured" in text


def test_latencies_of_other_evidence_are_not_compared(tmp_path: Path) -> None:
    text = render_html(sample_run(tmp_path))
    row = text[text.index("<b>n100-box</b>", text.index('id="metrics"')) :].split("</tr>")[0]
    assert "9.40" in row
    assert row.count("%") == 1  # the size only: float was timed on the device


def test_a_failed_target_says_why(tmp_path: Path) -> None:
    text = text_of(render_html(failed_run(tmp_path)))
    assert "compile: exit code 1" in text
    assert "! failed" in text


def test_many_targets_stay_short(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 100)
    text = render_html(run)
    assert len(text) < 2_000_000
    verdicts = text[text.index('class="verdicts"') : text.index('id="title-findings"')]
    assert verdicts.index("ascend-310p") < verdicts.index("rpi5")
    assert verdicts.count("<tr>") < 110


# Charts


def marks(run: RunResult) -> str:
    chart = tradeoff(run)
    assert chart is not None
    return str(chart)


def test_a_target_without_latency_is_drawn_aside(tmp_path: Path) -> None:
    assert "no latency measured" in marks(sample_run(tmp_path))
    run = sample_run(tmp_path)
    assert "no latency measured" not in marks(replace(run, targets=run.targets[:2]))


def test_marks_tell_evidence_and_status_by_shape(tmp_path: Path) -> None:
    chart = marks(sample_run(tmp_path))
    assert "point c2 hollow" in chart
    assert "circle: device, square: host" in chart
    assert "✗ ascend-310p" in chart


def test_latencies_of_calls_with_several_images_say_so(tmp_path: Path) -> None:
    run = batch_run(tmp_path)
    chart = marks(run)
    assert "✗ rpi5 (batch 8)" in chart
    assert "38.20 ms (device, batch 8)" in chart
    assert "batch: images per call where it is not one" in chart
    assert "batch" not in marks(sample_run(tmp_path))
    page = render_html(run)
    assert "38.20 ms with batch 8" in page
    assert page.count("<small>batch 8</small>") == 4


def test_the_float_model_is_a_line(tmp_path: Path) -> None:
    assert 'class="baseline"' in marks(sample_run(tmp_path))
    assert 'class="baseline"' not in marks(replace(sample_run(tmp_path), baseline=()))


def test_without_accuracy_there_is_no_chart(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    run = replace(run, targets=run.targets[3:])
    assert tradeoff(run) is None
    assert per_class(replace(run, baseline=())) is None


def test_bars_show_float_beside_every_distinct_result(tmp_path: Path) -> None:
    chart = str(per_class(sample_run(tmp_path)))
    assert chart.count('class="bar float"') == 4
    assert chart.count('class="bar c0"') == 4
    assert "rpi5, n100-box" in chart
    assert "screw, ascend-310p: 0.6320" in chart

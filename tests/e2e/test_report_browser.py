"""The report in a real browser: it draws, decodes its pictures and complains about nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.gates import Metric
from edgebuild.report.write import write_report
from tests.unit.fixtures_report import hostile_run, sample_run

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="chromium is not installed"),
]

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-device-scale-factor=1", "--enable-logging=stderr", "--virtual-time-budget=4000",
)  # fmt: skip

CONSOLE = re.compile(r"CONSOLE.*")

PROBE = """
addEventListener("load", async () => {
  const sizes = [];
  for (const picture of document.querySelectorAll("symbol image")) {
    const image = new Image();
    await new Promise((done) => {
      image.onload = image.onerror = done;
      image.src = picture.getAttribute("href");
    });
    sizes.push(image.naturalWidth);
  }
  const texts = [...document.querySelectorAll(".tradeoff text.label")].map((text) => {
    const box = text.getBoundingClientRect();
    return {text: text.textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom};
  });
  const nodes = [...document.querySelectorAll(".node")].map((node) => {
    const [box, ...texts] = [node.querySelector("rect"), ...node.querySelectorAll("text")];
    return Math.max(...texts.map((text) => text.getBBox().x + text.getBBox().width)) - box.getBBox().width;
  });
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const boxes = [...document.querySelectorAll(".scroll")];
  const cut = boxes.map((box) => box.scrollWidth - box.clientWidth > 1);
  const marked = boxes.map((box) => getComputedStyle(box).maskImage !== "none" &&
    getComputedStyle(box.nextElementSibling).display !== "none" && box.tabIndex === 0);
  const metrics = cut[boxes.indexOf(document.querySelector(".metrics").parentElement)];
  const visible = [...document.querySelectorAll("svg.chart, svg.dag, svg.photo")].filter(
    (svg) => svg.getBoundingClientRect().height > 20).length;
  const answer = document.createElement("pre");
  answer.id = "probe";
  answer.textContent = JSON.stringify({sizes, texts, nodes, wide, visible, cut, marked, metrics});
  document.body.append(answer);
});
"""


def browse(folder: Path, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    command = [BROWSER, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def probe(folder: Path, run: RunResult, *options: str) -> dict[str, Any]:
    """Open the report with a measuring script put into a copy of it; return what the script found."""
    page = write_report(run, folder / "report")[0]
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"script-src .*?; base-uri", "script-src 'unsafe-inline'; base-uri", text, count=1)
    copy = folder / "probe.html"
    copy.write_text(text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    dumped = browse(folder, copy, "--dump-dom", *options)
    found = re.search(r'<pre id="probe">(.*?)</pre>', dumped.stdout, flags=re.DOTALL)
    assert found, dumped.stderr[-2000:]
    answer: dict[str, Any] = json.loads(
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    return answer


@pytest.mark.parametrize("make", [sample_run, hostile_run])
def test_the_console_stays_empty(tmp_path: Path, make: Any) -> None:
    page = write_report(make(tmp_path), tmp_path / "report")[0]
    shown = browse(tmp_path, page, "--dump-dom")
    assert "</html>" in shown.stdout
    assert CONSOLE.findall(shown.stderr) == []


def test_the_console_is_watched(tmp_path: Path) -> None:
    """What the page's policy forbids would be seen: otherwise the test above proves nothing."""
    page = write_report(sample_run(tmp_path), tmp_path / "report")[0]
    text = page.read_text(encoding="utf-8").replace("</body>", "<script>alert(1)</script></body>")
    page.write_text(text, encoding="utf-8")
    assert "Content Security Policy" in " ".join(CONSOLE.findall(browse(tmp_path, page, "--dump-dom").stderr))


def test_pictures_are_decoded_and_charts_drawn(tmp_path: Path) -> None:
    found = probe(tmp_path, sample_run(tmp_path), "--window-size=1240,1400")
    assert found["sizes"] == [320] * 4
    assert found["visible"] == 2 + 1 + 4 * 3  # two charts, the DAG, four pictures in three columns
    assert found["wide"] <= 0


@pytest.mark.parametrize("targets", [4, 12, 100])
def test_labels_do_not_overlap_as_the_browser_sets_them(tmp_path: Path, targets: int) -> None:
    texts = probe(tmp_path, sample_run(tmp_path, targets), "--window-size=1240,1400")["texts"]
    assert len(texts) >= 3
    for index, one in enumerate(texts):
        for other in texts[index + 1 :]:
            apart = one["right"] <= other["left"] or other["right"] <= one["left"]
            above = one["bottom"] - 3 <= other["top"] or other["bottom"] - 3 <= one["top"]
            assert apart or above, (one["text"], other["text"])


def test_every_name_fits_its_node(tmp_path: Path) -> None:
    nodes = probe(tmp_path, sample_run(tmp_path))["nodes"]
    assert len(nodes) == 25
    assert max(nodes) <= 0


@pytest.mark.parametrize("width", [420, 820])
def test_a_narrow_window_scrolls_tables_not_the_page(tmp_path: Path, width: int) -> None:
    assert probe(tmp_path, sample_run(tmp_path), f"--window-size={width},900")["wide"] <= 0


@pytest.mark.parametrize("width", [420, 820, 1400])
def test_what_does_not_fit_shows_that_there_is_more(tmp_path: Path, width: int) -> None:
    found = probe(tmp_path, sample_run(tmp_path), f"--window-size={width},900")
    assert found["marked"] == found["cut"]
    assert any(found["cut"]) == (width < 1400)


def test_all_metrics_of_a_task_with_two_kinds_of_accuracy_fit_a_usual_window(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    names = ("map50_95_pose", "map50_pose", "latency_ms_p99")
    more = tuple(Metric(name=name, value=0.5) for name in names)
    run = replace(run, targets=tuple(replace(one, metrics=(*one.metrics, *more)) for one in run.targets))
    assert not probe(tmp_path, run, "--window-size=1400,900")["metrics"]


def test_light_and_dark_are_both_drawn(tmp_path: Path) -> None:
    page = write_report(sample_run(tmp_path), tmp_path / "report")[0]
    shots = []
    for name, scheme in (("light", "1"), ("dark", "0")):
        shot = tmp_path / f"{name}.png"
        browse(tmp_path, page, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
        shots.append(shot.read_bytes())
    assert all(shot.startswith(b"\x89PNG") for shot in shots)
    assert shots[0] != shots[1]

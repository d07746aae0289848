from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.report.dag import MAX_NODES, dag
from edgebuild.report.graph import lay_out
from edgebuild.results import ActionView
from tests.unit.fixtures_report import sample_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("targets", [1, 2, 4, 12, 100])
def test_every_action_has_a_place_of_its_own(tmp_path: Path, targets: int) -> None:
    run = sample_run(tmp_path, targets)
    layout = lay_out(run)
    assert set(layout.places) == {view.id for view in run.actions}
    assert len(set(layout.places.values())) == len(run.actions)
    for (column, row), (other_column, other_row) in itertools.combinations(layout.places.values(), 2):
        assert column != other_column or abs(row - other_row) >= 1
    assert all(0 <= row <= layout.rows - 1 for _, row in layout.places.values())


def test_lines_lead_from_left_to_right(tmp_path: Path) -> None:
    layout = lay_out(sample_run(tmp_path))
    assert all(layout.places[one][0] < layout.places[other][0] for one, other in layout.edges)


def test_shared_actions_are_left_of_every_lane(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    layout = lay_out(run)
    for view in run.actions:
        assert (layout.places[view.id][0] < layout.shared) is (len(view.targets) != 1)


def test_each_target_keeps_to_its_lane(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    layout = lay_out(run)
    lanes = {name: range(first, first + count) for name, first, count in layout.lanes}
    for view in run.actions:
        if len(view.targets) == 1:
            assert layout.places[view.id][1] in lanes[view.targets[0]]


def test_implied_lines_are_left_out(tmp_path: Path) -> None:
    edges = lay_out(sample_run(tmp_path, 1)).edges
    assert ("quantize", "rpi5/compile") in edges
    assert ("export", "quantize") not in edges  # through calibrate
    assert ("export", "rpi5/package") not in edges


def test_an_action_for_an_unknown_target_or_need_does_not_break(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 1)
    odd = ActionView(id="x", title="x", targets=("gone",), needs=("nowhere",), command=(), result=None)
    assert "x" in lay_out(replace(run, actions=(*run.actions, odd))).places


def test_no_targets_and_no_actions(tmp_path: Path) -> None:
    run = replace(sample_run(tmp_path, 1), targets=())
    assert set(lay_out(run).places) == {view.id for view in run.actions}
    assert dag(replace(run, actions=())) is None


def test_the_drawing_has_a_node_per_action_inside_the_picture(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    drawing = dag(run)
    assert drawing is not None
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)[0])
    corners = [(float(x), float(y)) for x, y in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", drawing)]
    assert len(corners) == len(run.actions)
    assert all(x + 136 <= width and y + 36 <= height for x, y in corners)


def test_a_node_says_outcome_and_reason_and_command(tmp_path: Path) -> None:
    drawing = str(dag(sample_run(tmp_path)))
    assert "option: targets.rpi5.batch: 1 → 4 (manifest.yaml:31)" in drawing
    assert "--output &#x27;out/a file.json&#x27;" in drawing
    assert 'aria-label="mlu370/compile: skipped"' in drawing


def test_an_action_that_was_not_selected_is_drawn_as_such(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 1)
    run = replace(run, actions=tuple(replace(view, result=None) for view in run.actions))
    assert "not selected" in str(dag(run))


def test_too_many_actions_become_a_table(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 100)
    assert len(run.actions) > MAX_NODES
    table = str(dag(run))
    assert "<svg" not in table
    assert table.count('scope="row"') == 100
    assert "are too many for a drawing" in table

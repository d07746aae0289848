from __future__ import annotations

import pytest

from edgebuild.steps.sample import MOMENTUM, SPREAD, awaken

pytestmark = pytest.mark.yolo


def test_what_a_fitted_model_says_follows_from_what_it_sees() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    body = [
        part
        for index in range(8)
        for part in (nn.Conv2d(3 if index == 0 else 8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU())
    ]
    model = nn.Sequential(*body, nn.Conv2d(8, 2, 1))
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        before = model.eval()(images).std(dim=(0, 2, 3)).max()
        awaken(model, images)
        seen = model(images)
        other = model(images.flip(1))
    assert before < SPREAD / 20
    assert seen.std(dim=(0, 2, 3)).tolist() == pytest.approx([SPREAD, SPREAD], rel=0.01)
    assert seen.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=0.01)
    assert (seen - other).std() > SPREAD / 2
    assert not any(layer._forward_hooks for layer in model.modules())
    assert {norm.momentum for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {MOMENTUM}

from __future__ import annotations

from pathlib import Path

import pytest

from edgebuild.run.watch import label_folder


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("/d/images/val", "/d/labels/val"),
        ("/d/images/coco/images/night", "/d/images/coco/labels/night"),
        ("/d/images", "/d/labels"),
        ("/d/pictures", "/d/pictures"),
        ("/d/imagesets/val", "/d/imagesets/val"),
    ],
)
def test_labels_of_a_folder_lie_where_those_of_its_images_do(images: str, labels: str) -> None:
    assert label_folder(images) == labels
    assert Path(labels).is_absolute()

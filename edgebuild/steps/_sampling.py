"""Which images of a split stand for it: an order that depends on their content and a seed alone.

``stratified`` makes sure that rare classes are seen. It has two parts:

1. Half of the sample covers the classes evenly. In turn, the class with the fewest chosen images (of equals
   the rarest, then the lowest id) gets the next image that shows it. It takes more than half where that
   is too little to show every class.
2. The other half is drawn at random from what is left, images without objects included, so that the split
   keeps its own mix. Its order is another one: in the same, it would take just those images that the
   first half had skipped, and where images show several classes nothing would be left of the evenness.

"Next" and "at random" both mean the order of the SHA-256 of the seed and the image's own digest: no clock, no
order of the file system, no path outside the tree.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An image that can be chosen.

    Attributes:
        file: Its path below the tree.
        digest: SHA-256 of its bytes.
        classes: How many objects of each class it shows.
    """

    file: str
    digest: str
    classes: Mapping[int, int]


def shuffle(candidates: Iterable[Candidate], *, seed: int, what: str = "") -> list[Candidate]:
    """Return the candidates in the order that the seed and their content give; for something else another."""

    def key(candidate: Candidate) -> tuple[str, str]:
        return hashlib.sha256(f"{seed}:{what}{candidate.digest}".encode()).hexdigest(), candidate.file

    return sorted(candidates, key=key)


def stratify(candidates: Sequence[Candidate], count: int, *, seed: int) -> list[Candidate]:
    """Choose ``count`` images so that rare classes are among them; see the module for how.

    Args:
        candidates: All images of the split, in any order.
        count: How many to choose, at most as many as there are.
        seed: Another seed chooses others.

    Returns:
        The images in the order in which they were chosen, so that a shorter sample is the start of a longer
        one's even part.
    """
    waiting = shuffle(candidates, seed=seed)
    images = Counter(class_id for candidate in waiting for class_id in candidate.classes)
    if not images:
        return waiting[:count]
    queues = {class_id: _showing(class_id, waiting) for class_id in images}
    chosen: dict[str, Candidate] = {}
    seen: Counter[int] = Counter()
    wanting = set(images)
    while wanting and len(chosen) < count:
        class_id = min(wanting, key=lambda one: (seen[one], images[one], one))
        if seen[class_id] and len(chosen) >= count // 2:
            break
        found = next((one for one in queues[class_id] if one.file not in chosen), None)
        if found is None:
            wanting.discard(class_id)
            continue
        chosen[found.file] = found
        seen.update(found.classes.keys())
    rest = shuffle((one for one in waiting if one.file not in chosen), seed=seed, what="rest:")
    return [*chosen.values(), *rest[: count - len(chosen)]]


def _showing(class_id: int, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    return (one for one in candidates if class_id in one.classes)

"""Whether calibration images stand for the validation images: what differs between the two, as findings.

Ranges measured on pictures that look unlike those in use are wrong ranges: a camera that works at night must
not be calibrated by day. What is compared, and when it is told:

- **level** statistics (brightness, contrast, mean of each colour): when the means differ by more than
  ``SPREAD`` standard deviations of the validation images (three standard errors where fewer than nine images
  calibrate) and by at least ``LEAST`` of the full range; or when more than ``UNCOVERED`` of the validation
  images lie outside of what calibration saw, by more than ``LEAST``, given ``COVERING`` images to cover it.
- **size**: when the median long side differs by a factor of ``SCALE``, or the median aspect ratio by one of
  ``ASPECT``.
- **classes**: a class that validation shows and calibration does not; one that is shown by less than
  ``SHARE`` of the share of images it has in validation, where that is ``COMMON`` or more; or a single class
  where validation shows several.
- **copies**: the same pixels twice in the calibration set; or nearly those of a validation image (``NEAR``),
  unless most calibration images are as close to each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING

from edgebuild.steps._image_facts import LEVELS, Facts, by_pixels, nearly_equal
from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SPREAD = 1.0
LEAST = 0.05
UNCOVERED = 0.25
COVERING = 20
SCALE = 2.0
ASPECT = 1.25
SHARE = 0.25
COMMON = 0.05
NEAR = 2.0
"""Mean difference of two thumbnails, of 255 levels, up to which they count as one picture."""

FEW = 16
"""Below so many images, ranges depend on which ones they are: 16 lost 0.4 points of mAP against 200."""

_NAMED = 5

Finding = tuple[str, str, str]
"""Id, message, hint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCount:
    """How many images show each class, of how many images."""

    images: int
    showing: Mapping[int, int]

    def share(self, class_id: int) -> float:
        """Return the share of the images that show a class."""
        return self.showing.get(class_id, 0) / max(1, self.images)


def refuse_copies_of_validation(chosen: Sequence[Facts], validation: Sequence[Facts]) -> None:
    """Make sure that no picture both calibrates and validates, in whatever lossless format.

    Raises:
        StepFailure: Some do; it names them.
    """
    known = {one.pixels: one.file for one in reversed(validation)}
    shared = [(one.file, known[one.pixels]) for one in chosen if one.pixels in known]
    if shared:
        fail_overlap(shared, "have the pixels of validation images")


def fail_overlap(shared: Sequence[tuple[str, str]], what: str) -> None:
    """Refuse images that are in both splits.

    Raises:
        StepFailure: Always; it names the first of them.
    """
    pairs = ", ".join(f"{file} (validation: {other})" for file, other in shared[:_NAMED])
    more = f" and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
    fail(f"{len(shared)} calibration images {what}: {pairs}{more}",
         hint="take them out of one of the two splits")  # fmt: skip


def refuse_one_picture(chosen: Sequence[Facts]) -> None:
    """Make sure that the images are not all one picture.

    Raises:
        StepFailure: They are.
    """
    if len(chosen) > 1 and len(by_pixels(chosen)) == 1:
        names = f"{chosen[0].file}, {chosen[1].file}"
        fail(f"all {len(chosen)} calibration images show the same pixels ({names}, ...)",
             hint="calibrate on different pictures")  # fmt: skip


def image_findings(chosen: Sequence[Facts], validation: Sequence[Facts]) -> Iterator[Finding]:
    """Yield what is odd about the calibration images, by themselves and against the validation images."""
    if len(chosen) < FEW:
        text = f"only {len(chosen)} images calibrate: the ranges depend on which ones"
        yield "calibration-few", text, f"give {FEW} or more; 200 are usual (dataset.calibration.images)"
    copies = {pixels: files for pixels, files in by_pixels(chosen).items() if len(files) > 1}
    if copies:
        extra = sum(len(files) - 1 for files in copies.values())
        first = next(iter(copies.values()))
        text = f"{extra} of {len(chosen)} calibration images are copies, such as {first[1]} of {first[0]}"
        yield "calibration-copies", text, "remove copies: they add nothing, and count as several"
    near = list(_near_copies(chosen, validation))
    # Where a camera looks at one scene, all pictures are alike, and likeness proves nothing.
    if near and 2 * len(list(_near_copies(chosen, chosen))) <= len(chosen):
        pairs = ", ".join(f"{file} (validation: {other})" for file, other in near[:_NAMED])
        text = f"{len(near)} calibration images look like validation images: {pairs}"
        yield (
            "calibration-near-validation",
            text,
            "if they are copies or neighbouring frames, take them apart",
        )
    for name in LEVELS:
        yield from _level_finding(name, chosen, validation)
    yield from _size_findings(chosen, validation)


def _near_copies(chosen: Sequence[Facts], validation: Sequence[Facts]) -> Iterator[tuple[str, str]]:
    """Yield calibration images that a validation image resembles; only equally bright ones are compared."""
    buckets: dict[int, list[Facts]] = {}
    for one in validation:
        buckets.setdefault(sum(one.fingerprint) // _bucket(one), []).append(one)
    for one in chosen:
        at = sum(one.fingerprint) // _bucket(one)
        beside = (other for step in (-1, 0, 1) for other in buckets.get(at + step, ()))
        alike = (other for other in beside if other is not one and nearly_equal(one, other, levels=NEAR))
        match = next(alike, None)
        if match:
            yield one.file, match.file


def _bucket(one: Facts) -> int:
    """Return how far the sums of two thumbnails can be apart that differ by ``NEAR`` on average."""
    return max(1, math.ceil(NEAR * len(one.fingerprint)))


def _level_finding(name: str, chosen: Sequence[Facts], validation: Sequence[Facts]) -> Iterator[Finding]:
    ours = [float(getattr(one, name)) for one in chosen]
    theirs = [float(getattr(one, name)) for one in validation]
    gap = fmean(ours) - fmean(theirs)
    limit = max(LEAST, SPREAD * pstdev(theirs) * max(1.0, 3 / math.sqrt(len(ours))))
    low, high = min(ours) - LEAST, max(ours) + LEAST
    outside = sum(not low <= value <= high for value in theirs) / len(theirs)
    hint = "calibrate on pictures of the place, the camera and the time of day that validation stands for"
    if abs(gap) > limit:
        text = f"{name} of the calibration images is {fmean(ours):.2f} on average"
        text += f", of the validation images {fmean(theirs):.2f}"
        yield "calibration-shift", text, hint
    elif len(ours) >= COVERING and outside > UNCOVERED:
        text = f"{outside:.0%} of the validation images have a {name} that no calibration image comes near"
        text += f" ({min(ours):.2f} to {max(ours):.2f})"
        yield "calibration-coverage", text, hint


def _size_findings(chosen: Sequence[Facts], validation: Sequence[Facts]) -> Iterator[Finding]:
    sides = [median(max(one.width, one.height) for one in facts) for facts in (chosen, validation)]
    aspects = [median(one.width / one.height for one in facts) for facts in (chosen, validation)]
    hint = "take both from the same camera settings; resizing changes noise and sharpness"
    if max(sides) >= SCALE * min(sides):
        text = f"the calibration images' long side is {sides[0]:g} pixels (median)"
        text += f", the validation images' {sides[1]:g}"
        yield "calibration-size", text, hint
    if max(aspects) >= ASPECT * min(aspects):
        text = f"the calibration images are {aspects[0]:.2f} times as wide as high (median)"
        text += f", the validation images {aspects[1]:.2f}"
        yield "calibration-size", text, hint


def class_findings(
    chosen: ClassCount, validation: ClassCount, names: Sequence[str], *, available: ClassCount, sample: str
) -> Iterator[Finding]:
    """Yield which classes calibration shows too little of.

    Args:
        chosen: What the calibration images show.
        validation: What the validation images show.
        names: Class names by id.
        available: What the images show that calibration was chosen from.
        sample: How it was chosen; the advice goes by both.
    """
    shown = [class_id for class_id in range(len(names)) if validation.share(class_id)]
    ours = [class_id for class_id in range(len(names)) if chosen.share(class_id)]
    if len(ours) == 1 and len(shown) > 1:
        text = f"the calibration images show one class only, {names[ours[0]]}; validation shows {len(shown)}"
        others = [one for one in shown if one not in ours]
        yield "calibration-one-class", text, _more_of(others, chosen, available, sample)
        return
    missing = [one for one in shown if one not in ours]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        named = ", ".join(names[one] for one in missing[:_NAMED])
        text = f"no calibration image shows {named}{more}, which validation does"
        yield "calibration-class-missing", text, _more_of(missing, chosen, available, sample)
    rare = [
        one
        for one in ours
        if validation.share(one) >= COMMON and chosen.share(one) < SHARE * validation.share(one)
    ]
    if rare:
        shares = [
            f"{names[one]} ({chosen.share(one):.0%} of the images, in validation {validation.share(one):.0%})"
            for one in rare[:_NAMED]
        ]
        text = f"calibration hardly shows {', '.join(shares)}"
        yield "calibration-class-rare", text, _more_of(rare, chosen, available, sample)


def _more_of(classes: Sequence[int], chosen: ClassCount, available: ClassCount, sample: str) -> str:
    """Return how more images of some classes come to calibrate."""
    if not any(available.showing.get(one, 0) > chosen.showing.get(one, 0) for one in classes):
        if sample == "list":
            return "list images that show what the model is for (dataset.calibration.images)"
        return "the split to choose from has no more of them: add images that show what the model is for"
    if sample != "stratified":
        return "set dataset.calibration.sample: stratified, which covers the classes"
    return "the split has more of them: ask for more images (dataset.calibration.images)"

"""The words of ``edgebuild calibrate``; the verb is imported when it is called."""

from __future__ import annotations

import os

from edgebuild.cli.parts import Verbs, add_verb, number

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    import argparse


def add_calibrate(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    text = "choose the calibration images and say what they are; --sweep shows what more of them buy"
    parser = add_verb(verbs, "calibrate", text, "edgebuild calibrate manifest.yaml --sweep 16,64,200")
    add = parser.add_argument
    add("manifest", metavar="MANIFEST", help="the manifest, such as manifest.yaml")
    text = "override a manifest value, such as quantize.method=percentile"
    add("--set", dest="overrides", metavar="PATH=VALUE", action="append", default=[], help=text)
    add("--templates", metavar="DIR", action="append", default=[], help="a folder of toolchains")
    add("--sweep", metavar="N,N,...", type=counts, default=(), help="validate with so many images each")
    add("--target", dest="targets", metavar="TARGET", action="append", default=[],
        help="a target to validate; all that calibrate when left out")  # fmt: skip
    add("-j", "--jobs", type=number, default=min(2, os.cpu_count() or 1), metavar="N", help="actions at once")
    add("--json", action="store_true", help="print one JSON document on standard output")
    parser.set_defaults(verb=_do_calibrate)


def counts(text: str) -> tuple[int, ...]:
    """Return the numbers of a list such as ``16,64,200``, from the least, each one time.

    Raises:
        argparse.ArgumentTypeError: One is none.
    """
    return tuple(sorted({number(word.strip()) for word in text.split(",")}))


def _do_calibrate(options: argparse.Namespace) -> int:
    from edgebuild.verbs.calibrate import CalibrateOptions, calibrate  # noqa: PLC0415

    return calibrate(
        CalibrateOptions(
            manifest=options.manifest,
            overrides=tuple(options.overrides),
            templates=tuple(options.templates),
            sweep=options.sweep,
            targets=tuple(options.targets),
            jobs=options.jobs,
            json=options.json,
        )
    )

"""The words of ``edgebuild cache``; a verb is imported when it is called."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgebuild.amounts import parse_size, parse_span
from edgebuild.cli.parts import Verbs, add_verb, number

if TYPE_CHECKING:
    from collections.abc import Callable


def add_verbs(parser: argparse.ArgumentParser) -> None:
    """Add ``stats``, ``gc``, ``verify``, ``pin``, ``unpin``, ``pins`` and ``clear``."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for add in (_stats, _gc, _verify, _pin, _unpin, _pins, _clear):
        add(verbs)


def _add(
    verbs: Verbs[argparse.ArgumentParser],
    name: str,
    text: str,
    example: str,
    verb: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = add_verb(verbs, name, text, f"edgebuild cache {example}", verb)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _stats(verbs: Verbs[argparse.ArgumentParser]) -> None:
    _add(verbs, "stats", "show what the store holds, by step, and who uses it", "stats", _do_stats)


def _do_stats(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache import StatsOptions, stats  # noqa: PLC0415

    return stats(StatsOptions(json=options.json))


def _gc(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "remove what has not been used for longest; what a live run uses, the last results, and pins stay"
    add = _add(verbs, "gc", text, "gc --max-size 20GB --max-age 30d --dry-run", _do_gc).add_argument
    add("--max-size", type=_size, metavar="SIZE", help="what the results may take, such as 20GB or 512MiB")
    add("--max-age", type=_span, metavar="AGE", help="how long ago the last use may be, such as 30d or 12h")
    add(
        "--keep-runs", type=_from_0, default=5, metavar="K", help="runs per workspace whose packages stay (5)"
    )
    add("-n", "--dry-run", action="store_true", help="print what would go and its bytes; remove nothing")


def _do_gc(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache import GcOptions, gc  # noqa: PLC0415

    return gc(
        GcOptions(
            max_size=options.max_size,
            max_age=options.max_age,
            keep_runs=options.keep_runs,
            dry_run=options.dry_run,
            json=options.json,
        )
    )


def _verify(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "read every byte of the store again and say what is damaged; exit 8 when something is"
    parser = _add(verbs, "verify", text, "verify --repair", _do_verify)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="move what is damaged to the quarantine; the next run makes it anew",
    )


def _do_verify(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache import VerifyOptions, verify  # noqa: PLC0415

    return verify(VerifyOptions(repair=options.repair, json=options.json))


def _pin(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "keep the results of a manifest under a name, or the result of one key, until they are unpinned"
    add = _add(verbs, "pin", text, "pin 1.4.0 manifest.yaml", _do_pin).add_argument
    add(
        "name", metavar="NAME|KEY", help="what to call it; without a manifest, an action key or its beginning"
    )
    add("manifest", metavar="MANIFEST", nargs="?", default="", help="the manifest, such as manifest.yaml")
    add(
        "words",
        metavar="SELECT",
        nargs="*",
        default=[],
        help="targets, steps, globs; everything when left out",
    )
    add("--set", dest="overrides", metavar="PATH=VALUE", action="append", default=[], help="as with `run`")
    add("--templates", metavar="DIR", action="append", default=[], help="as with `run`")


def _do_pin(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache_pins import PinOptions, pin  # noqa: PLC0415

    return pin(
        PinOptions(
            name=options.name,
            manifest=options.manifest,
            words=tuple(options.words),
            overrides=tuple(options.overrides),
            templates=tuple(options.templates),
            json=options.json,
        )
    )


def _unpin(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = _add(
        verbs, "unpin", "remove a pin; its results stay until `gc` chooses them", "unpin 1.4.0", _do_unpin
    )
    parser.add_argument("name", metavar="NAME", help="as `edgebuild cache pins` shows it")


def _do_unpin(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache_pins import unpin  # noqa: PLC0415

    return unpin(options.name, as_json=options.json)


def _pins(verbs: Verbs[argparse.ArgumentParser]) -> None:
    _add(verbs, "pins", "list the pins, and what they hold", "pins", _do_pins)


def _do_pins(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache_pins import pins  # noqa: PLC0415

    return pins(as_json=options.json)


def _clear(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "remove everything but pins and what a live run uses; asks first"
    parser = _add(verbs, "clear", text, "clear --yes", _do_clear)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _do_clear(options: argparse.Namespace) -> int:
    from edgebuild.verbs.cache import ClearOptions, clear  # noqa: PLC0415

    return clear(ClearOptions(yes=options.yes, json=options.json))


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _span(text: str) -> float:
    try:
        return parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _from_0(text: str) -> int:
    return number(text, least=0)

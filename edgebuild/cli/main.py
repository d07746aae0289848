"""The command line: arguments -> frozen options -> one verb, errors -> one line and an exit code.

Only argparse is imported; a verb imports what it needs when it is called, so ``--help`` is cheap.
"""

from __future__ import annotations

import os
import sys

from edgebuild import __version__
from edgebuild.cli.calibrate import add_calibrate
from edgebuild.cli.parts import (
    MistakeError,
    Parser,
    Verbs,
    add_manifest,
    add_remote,
    add_verb,
    common,
    formatter,
)
from edgebuild.cli.plan import add_plan, manifests_in
from edgebuild.cli.run import add_run
from edgebuild.cli.streams import LostOutputError

TYPE_CHECKING = False  # what type checkers take for true: importing typing costs more than this module

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

TASKS = ("detect", "segment", "pose", "obb", "classify")

EPILOG = """\
exit codes: 0 ok, 1 internal error, 2 manifest or usage, 3 a step failed, 4 a gate failed,
5 toolchain missing or out of range, 6 device, 7 timeout, 8 cache or store, 9 verification failed,
10 --dry-run --exit-code with work pending, 129/130/143 stopped by a signal"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    options = _parse(words)
    options.argv = words
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        _stand_somewhere()
        return verb(options)
    except LostOutputError:
        raise
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last line of defence reports everything
        return _report_error(error, as_json=getattr(options, "json", False))


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser(words)
    try:
        options, rest = parser.parse_known_args(words)
        # argparse takes all words of one kind at one place only: `run m.yaml -j 4 int8` leaves `int8` over.
        flags = [word for word in rest if word.startswith("-")]
        others = manifests_in([*getattr(options, "words", []), *rest])
        if others and not flags and "manifest" in options and "several" not in options:
            parser.error(f"`{words[0]}` takes one manifest, and {others[0]} is another one")
        if rest and (flags or "words" not in options):
            parser.error(f"unrecognized arguments: {' '.join(flags or rest)}")
    except MistakeError as mistake:
        if "--json" in words:
            from edgebuild.cli.refusal import refusal  # noqa: PLC0415 - only when something is wrong

            print(refusal(2, str(mistake)))
        sys.exit(2)
    if rest:
        options.words = [*options.words, *rest]
    return options


def _stand_somewhere() -> None:
    """Check that the working directory is there: every path is seen from it.

    Raises:
        UsageError: It is gone.
    """
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not loaded yet
    except FileNotFoundError:
        from edgebuild.errors import UsageError  # noqa: PLC0415 - only when something is wrong

        raise UsageError("the working directory is gone", hint="change to one that is there") from None


def _report_error(error: Exception, *, as_json: bool) -> int:
    """Print an error the way its kind deserves: a user's mistake without a traceback."""
    from edgebuild.cli.refusal import refusal  # noqa: PLC0415 - only when something is wrong
    from edgebuild.errors import EdgebuildError, StepTimeoutError  # noqa: PLC0415 - only when something is wrong

    if isinstance(error, TimeoutError):
        error = StepTimeoutError(str(error))
    elif isinstance(error, OSError) and error.filename:  # a file or folder that is not as it should be
        from edgebuild.cache.store import store_error  # noqa: PLC0415
        from edgebuild.run.session import cache_root  # noqa: PLC0415

        error = store_error(error, error.filename, root=cache_root(os.environ))
    if not isinstance(error, EdgebuildError):
        import traceback  # noqa: PLC0415

        traceback.print_exception(error)
        print("edgebuild: internal error; please report it with the lines above", file=sys.stderr)
        if as_json:
            print(refusal(1, f"internal error: {type(error).__name__}: {error}"))
        return 1
    print(f"edgebuild: {error}", file=sys.stderr)
    if as_json:
        print(refusal(error.exit_code, error.message, error.hint, getattr(error, "problems", ())))
    return error.exit_code


def _parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser; when it is known what for, the verbs of `cache` only where they are asked for."""
    parser: argparse.ArgumentParser = Parser(
        prog="edgebuild",
        description="One manifest takes a YOLO model to checked, reproducible, per-device packages.",
        epilog=EPILOG,
        formatter_class=formatter,
    )
    parser.add_argument("--version", action="version", version=f"edgebuild {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for add in (add_run, add_plan, _check, add_calibrate, _commands, _explain, _report, _verify):
        add(verbs)
    _cache(verbs, whole=words is None or words[:1] == ["cache"])
    _toolchain(verbs, whole=words is None or words[:1] == ["toolchain"])
    for add in (_doctor, _init):
        add(verbs)
    return parser


def _check(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild check manifest.yaml"
    parser = add_verb(verbs, "check", "find what is wrong with a manifest and its data; run nothing", example)
    add_manifest(parser, words=False)
    parser.add_argument("more", metavar="MANIFEST", nargs="*", help="further manifests")
    parser.add_argument("--no-data", dest="data", action="store_false", help="do not read labels and images")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(verb=_do_check, several=True)


def _do_check(options: argparse.Namespace) -> int:
    from edgebuild.verbs.check import CheckOptions, check  # noqa: PLC0415

    return check(
        CheckOptions(
            manifests=(options.manifest, *options.more),
            overrides=tuple(options.overrides),
            templates=tuple(options.templates),
            data=options.data,
            json=options.json,
        )
    )


def _commands(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild commands manifest.yaml pi-5"
    parser = add_verb(
        verbs, "commands", "print every command, ready to paste; nothing need be installed", example
    )
    add_manifest(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(verb=_do_commands)


def _do_commands(options: argparse.Namespace) -> int:
    from edgebuild.verbs.commands import CommandsOptions, commands  # noqa: PLC0415

    return commands(CommandsOptions(**common(options), json=options.json))  # type: ignore[arg-type]


def _explain(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild explain manifest.yaml rpi5/quantize"
    parser = add_verb(
        verbs, "explain", "say why actions would run or would not, old value -> new value", example
    )
    add_manifest(parser)
    text = "compare with another run: its report.json, or what `run --json` printed there"
    parser.add_argument("--against", default="", metavar="RUN", help=text)
    add_remote(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(verb=_do_explain)


def _do_explain(options: argparse.Namespace) -> int:
    from edgebuild.verbs.explain import ExplainOptions, explain  # noqa: PLC0415

    more = {"json": options.json, "against": options.against, "remote": options.remote}
    return explain(ExplainOptions(**common(options), **more))  # type: ignore[arg-type]


def _report(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild report manifest.yaml --markdown >> $GITHUB_STEP_SUMMARY"
    parser = add_verb(verbs, "report", "write the report again from the results that are there", example)
    add_manifest(parser, words=False)
    parser.add_argument(
        "--markdown", action="store_true", help="print the report as Markdown, and write nothing"
    )
    parser.set_defaults(verb=_do_report)


def _do_report(options: argparse.Namespace) -> int:
    from edgebuild.verbs.report import ReportOptions, report  # noqa: PLC0415

    return report(ReportOptions(**common(options), markdown=options.markdown))  # type: ignore[arg-type]


def _verify(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild verify dist/fasteners/fasteners-cpu-int8-1.4.0.tar.gz"
    parser = add_verb(verbs, "verify", "check a package offline and replay its golden vectors", example)
    parser.add_argument("package", metavar="PACKAGE", help="a package that edgebuild made")
    parser.add_argument("--no-replay", dest="replay", action="store_false", help="only check the checksums")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(verb=_do_verify)


def _do_verify(options: argparse.Namespace) -> int:
    from edgebuild.verbs.verify import VerifyOptions, verify  # noqa: PLC0415

    return verify(VerifyOptions(package=options.package, replay=options.replay, json=options.json))


def _cache(verbs: Verbs[argparse.ArgumentParser], *, whole: bool) -> None:
    text = "look after the store: what it holds, what may go, whether it is sound"
    parser = add_verb(verbs, "cache", text, "edgebuild cache gc --max-size 20GB --dry-run")
    if whole:
        from edgebuild.cli.cache import add_verbs  # noqa: PLC0415 - it costs as much as all other verbs

        add_verbs(parser)


def _toolchain(verbs: Verbs[argparse.ArgumentParser], *, whole: bool) -> None:
    text = "show, install, test and write toolchains"
    parser = add_verb(verbs, "toolchain", text, "edgebuild toolchain install acme")
    if whole:
        from edgebuild.cli.toolchain import add_verbs  # noqa: PLC0415 - likewise

        add_verbs(parser)


def _doctor(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs, "doctor", "show what is installed here and how to get what is not", "edgebuild doctor"
    )
    parser.add_argument(
        "--templates", metavar="DIR", action="append", default=[], help="a folder of toolchains"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(verb=_do_doctor)


def _do_doctor(options: argparse.Namespace) -> int:
    from edgebuild.verbs.doctor import DoctorOptions, doctor  # noqa: PLC0415

    return doctor(DoctorOptions(templates=tuple(options.templates), json=options.json))


def _init(verbs: Verbs[argparse.ArgumentParser]) -> None:
    example = "edgebuild init manifest.yaml --weights best.pt --data data/fasteners.yaml"
    parser = add_verb(verbs, "init", "write a first manifest to edit", example)
    parser.add_argument("path", metavar="MANIFEST", nargs="?", default="manifest.yaml")
    parser.add_argument("--name", default="my-model", help="what it is called")
    task = "what the model does (default: by the weights' name, such as -seg; else detect)"
    parser.add_argument("--task", choices=TASKS, default="", help=task)
    parser.add_argument("--weights", default="weights/best.pt", help="trained weights, .pt or .onnx")
    parser.add_argument("--data", default="data/data.yaml", help="Ultralytics dataset YAML")
    parser.add_argument("--imgsz", type=int, default=640, help="input size in pixels")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.set_defaults(verb=_do_init)


def _do_init(options: argparse.Namespace) -> int:
    from edgebuild.verbs.init import InitOptions, init  # noqa: PLC0415

    names = ("path", "name", "task", "weights", "data", "imgsz", "force")
    return init(InitOptions(**{name: getattr(options, name) for name in names}))

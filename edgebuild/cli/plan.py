"""The words of ``edgebuild plan``, and those that ``run`` has too; the verb is imported when it is called."""

from __future__ import annotations

from edgebuild.cli.parts import Verbs, add_manifest, add_remote, add_verb

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def add_plan(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    example = "edgebuild plan manifest.yaml --format mermaid"
    parser = add_verb(verbs, "plan", "print every action, its state and why; run nothing", example)
    add_manifest(parser)
    add_what(parser)
    add = parser.add_argument
    add("--format", dest="form", choices=("text", "json", "dot", "mermaid"))
    add("--json", action="store_true", help="same as --format json")
    add("--explain", action="store_true", help="print every reason, not only the first")
    add("--exit-code", action="store_true", help="exit 10 when something would run")
    add_remote(parser)
    parser.set_defaults(verb=_do_plan, several=True)


def add_what(parser: argparse.ArgumentParser) -> None:
    """Add what decides which actions a run has, so that `plan` takes the words of a `run` as they are."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="run the selected actions although results are there")
    add("--until", default="", metavar="STEP", help="stop after this step of the chain")
    add("--skip-unavailable", action="store_true", help="leave out targets whose toolchain is absent")
    add("--compare", action="store_true", help="compare quantized models with float ones, block by block")


def several(options: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the manifests, which may be several (`edgebuild run fleet/*.yaml`), and the selectors."""
    more = manifests_in(options.words)
    return (options.manifest, *more), tuple(word for word in options.words if word not in more)


def manifests_in(words: Sequence[str]) -> list[str]:
    """Return the words that are manifests: a selector has another form."""
    return [word for word in words if word.endswith((".yaml", ".yml"))]


def asked_overrides(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the ``--set`` values, with that which ``--compare`` stands for."""
    return (*options.overrides, *(["report.compare=true"] if options.compare else []))


def _do_plan(options: argparse.Namespace) -> int:
    from edgebuild.verbs.plan import PlanOptions, plan  # noqa: PLC0415

    form = options.form or ("json" if options.json else "text")
    if options.json and form != "json":
        from edgebuild.errors import UsageError  # noqa: PLC0415 - only when something is wrong

        raise UsageError(f"--json and --format {form} exclude each other", hint="give one of them")
    options.json = form == "json"  # also for what is printed when it is refused
    manifests, words = several(options)
    return plan(
        PlanOptions(
            manifests=manifests,
            words=words,
            overrides=asked_overrides(options),
            templates=tuple(options.templates),
            until=options.until,
            force=options.force,
            form=form,
            explain=options.explain,
            exit_code=options.exit_code,
            remote=options.remote,
        )
    )

"""The words of ``edgebuild run``; the verb is imported when it is called."""

from __future__ import annotations

import os

from edgebuild.cli.parts import Verbs, add_manifest, add_remote, add_verb, number
from edgebuild.cli.plan import add_what, asked_overrides, several

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    import argparse


def add_run(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    example = "edgebuild run manifest.yaml 'pi-*' -j 4 -k"
    parser = add_verb(
        verbs, "run", "bring targets up to date, judge their gates, package and report", example
    )
    add_manifest(parser)
    add = parser.add_argument
    add("-j", "--jobs", type=number, default=min(2, os.cpu_count() or 1), metavar="N", help="actions at once")
    add("-k", "--keep-going", action="store_true", help="go on with what does not depend on a failure")
    add_what(parser)
    add("-n", "--dry-run", action="store_true", help="print what would run and why; run nothing")
    add("--exit-code", action="store_true", help="with --dry-run: exit 10 when something would run")
    add("--explain", action="store_true", help="print why each action ran or did not")
    add("--no-worker", dest="worker", action="store_false", help="start every step as a process of its own")
    add("--json", action="store_true", help="print one JSON document on standard output")
    add("-q", "--quiet", action="store_true", help="print errors only")
    add_remote(parser)
    mode = "read (the default) or read-write (EDGEBUILD_REMOTE_MODE)"
    add("--remote-mode", choices=("read", "read-write"), default="", help=mode)
    parser.set_defaults(verb=_do_run, several=True)


def _do_run(options: argparse.Namespace) -> int:
    from edgebuild.verbs.run import RunOptions, run  # noqa: PLC0415

    if options.exit_code and not options.dry_run:
        from edgebuild.errors import UsageError  # noqa: PLC0415 - only when something is wrong

        raise UsageError("--exit-code is for a dry run; a run has its own", hint="add --dry-run")
    manifests, words = several(options)
    return run(
        RunOptions(
            argv=tuple(options.argv),
            manifests=manifests,
            words=words,
            overrides=asked_overrides(options),
            templates=tuple(options.templates),
            jobs=options.jobs,
            keep_going=options.keep_going,
            force=options.force,
            until=options.until,
            dry_run=options.dry_run,
            exit_code=options.exit_code,
            explain=options.explain,
            skip_unavailable=options.skip_unavailable,
            worker=options.worker,
            json=options.json,
            quiet=options.quiet,
            remote=options.remote,
            remote_mode=options.remote_mode,
        )
    )

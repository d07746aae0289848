"""The words of ``edgebuild toolchain``; a verb is imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.cli.parts import Verbs, add_verb, number

if TYPE_CHECKING:
    import argparse


def add_verbs(parser: argparse.ArgumentParser) -> None:
    """Add ``list``, ``show``, ``install``, ``installed``, ``remove``, ``test``, ``parse`` and ``new``."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for add in (_list, _show, _install, _installed, _remove, _test, _parse, _new):
        add(verbs)


def _templates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--templates",
        metavar="DIR",
        action="append",
        default=[],
        help="a folder of toolchains, searched first",
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _list(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs, "list", "show every toolchain and where its tools live", "edgebuild toolchain list", _do_list
    )
    _templates(parser)
    _json(parser)


def _do_list(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain import list_all  # noqa: PLC0415

    return list_all(tuple(options.templates), as_json=options.json)


def _show(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "show a toolchain's recipes, limits, tools and options, with types and documentation"
    parser = add_verb(verbs, "show", text, "edgebuild toolchain show acme", _do_show)
    parser.add_argument("name", metavar="NAME", help="a toolchain")
    _templates(parser)
    _json(parser)


def _do_show(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain_show import show  # noqa: PLC0415

    return show(options.name, tuple(options.templates), as_json=options.json)


def _install(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "make a toolchain's own Python environment, from its requirements, with pip as it is configured"
    parser = add_verb(verbs, "install", text, "edgebuild toolchain install acme", _do_install)
    parser.add_argument("names", metavar="NAME", nargs="+", help="toolchains")
    parser.add_argument("--again", action="store_true", help="make it anew although it is there")
    _templates(parser)


def _do_install(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain import install_all  # noqa: PLC0415

    return install_all(tuple(options.names), tuple(options.templates), again=options.again)


def _installed(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "show the environments that are there, their size, and whose they are"
    _json(add_verb(verbs, "installed", text, "edgebuild toolchain installed", _do_installed))


def _do_installed(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain import show_installed  # noqa: PLC0415

    return show_installed(as_json=options.json)


def _remove(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "remove every environment that was made for a toolchain"
    parser = add_verb(verbs, "remove", text, "edgebuild toolchain remove acme", _do_remove)
    parser.add_argument("name", metavar="NAME", help="a toolchain")


def _do_remove(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain import remove_all  # noqa: PLC0415

    return remove_all(options.name)


def _test(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "compile a small model with the tool that is here, and bundle what a report needs when it fails"
    parser = add_verb(verbs, "test", text, "edgebuild toolchain test acme --recipe all", _do_test)
    add = parser.add_argument
    add("name", metavar="NAME", help="a toolchain")
    add(
        "--recipe",
        metavar="RECIPE",
        action="append",
        default=[],
        help="a recipe, or all; else the default one",
    )
    add(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a value for an option of a target",
    )
    add("--keep", metavar="DIR", default="", help="keep everything there, and write the bundle in any case")
    _templates(parser)
    _json(parser)


def _do_test(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain_test import TrialOptions, test  # noqa: PLC0415

    return test(
        TrialOptions(
            name=options.name,
            recipes=tuple(options.recipe),
            settings=tuple(options.option),
            keep=options.keep,
            templates=tuple(options.templates),
            json=options.json,
        )
    )


def _parse(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "show what a toolchain's rules find in something that a tool on the device has printed"
    parser = add_verb(verbs, "parse", text, "edgebuild toolchain parse acme acme-bench log.txt", _do_parse)
    add = parser.add_argument
    add("name", metavar="NAME", help="a toolchain")
    add("tool", metavar="TOOL", help="a tool of `device` in its toolchain.yaml")
    add("file", metavar="FILE", nargs="?", default="-", help="what the tool printed; else standard input")
    add(
        "--batch",
        type=number,
        default=1,
        metavar="N",
        help="images per inference (1), where the tool counts batches",
    )
    _templates(parser)
    _json(parser)


def _do_parse(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain_parse import ParseOptions, parse  # noqa: PLC0415

    return parse(
        ParseOptions(
            name=options.name,
            tool=options.tool,
            file=options.file,
            batch=options.batch,
            templates=tuple(options.templates),
            json=options.json,
        )
    )


def _new(verbs: Verbs[argparse.ArgumentParser]) -> None:
    text = "write the folder of a new toolchain, which passes all checks and is then edited"
    parser = add_verb(verbs, "new", text, "edgebuild toolchain new acme --templates templates", _do_new)
    parser.add_argument(
        "name", metavar="NAME", help="what it is called: lower-case letters, digits, '_' and '-'"
    )
    parser.add_argument(
        "--templates", metavar="DIR", default="templates", help="where to write it (templates)"
    )


def _do_new(options: argparse.Namespace) -> int:
    from edgebuild.verbs.toolchain_new import new  # noqa: PLC0415

    return new(options.name, options.templates)

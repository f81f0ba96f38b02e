"""``sweep forget``: delete stored runs, with their logs and checkpoints."""

from __future__ import annotations

import argparse

from harness.cli import common, runs, stored

HELP = "delete stored runs that nobody wants; without --yes only say which"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="a sweep, or the id or key of a run")
    parser.add_argument("--sweep", metavar="NAME", help="only runs of this sweep")
    stored.add_filters(parser)
    parser.add_argument(
        "--earlier", action="store_true", help="only runs that earlier code has trained"
    )
    parser.add_argument("--yes", action="store_true", help="delete them")
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Delete the stored runs that the options choose, or say which they are."""
    from harness.session.jobs import discard_files, log_file
    from harness.store import Store
    from harness.text import plural

    with common.open_store(options) as store:
        found, _ = runs.found(store, options)
    if options.earlier:
        found = stored.earlier(found)
    if options.yes and found:
        with Store.open(common.store_url(options), create=False) as store:
            store.forget(found)
        home = common.home(options)
        for result in found:
            log_file(home, result.key, result.run).unlink(missing_ok=True)
            discard_files(home, result.key, result.run)
    if options.json:
        rows = [{"sweep": r.run.sweep, "run": r.run.id, "key": r.key} for r in found]
        common.print_json({"runs": rows, "forgotten": options.yes})
    elif not found:
        print("no such run: nothing to forget")
    else:
        runs.show(found, every=False)
        print(
            f"forgot {plural(len(found), 'run')}"
            if options.yes
            else f"would forget {plural(len(found), 'run')}: --yes does it; "
            "sweep export keeps them as a table"
        )
    return 0

"""The command line. What a command needs is imported when it runs, so that `--help` and the small ones start fast."""

from __future__ import annotations

import typer

from unbroken.cli import (
    apps,
    archives,
    attack,
    audit,
    cluster_demo,
    dead_letters,
    demo,
    doctor,
    erase,
    keys,
    move,
    people,
    pins,
    powers,
    purge,
    receipt,
    replay,
    retention,
    rotate,
    serving,
    verify,
)
from unbroken.cli.output import let_go_of_output, take_streams

program = typer.Typer(
    name="unbroken",
    help="Self-hosted user linking: one person, one unbroken timeline, through every reinstall and every new phone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.command("serve")(serving.serve)
program.command("demo")(demo.demo)
program.command("cluster-demo")(cluster_demo.cluster_demo)
program.command("doctor")(doctor.doctor)
program.add_typer(apps.program, name="app")
program.add_typer(keys.program, name="key")
program.add_typer(pins.program, name="pin")
program.add_typer(people.users, name="user")
program.add_typer(people.installs, name="install")
program.add_typer(powers.links, name="link")
program.command("explain")(people.explain)
program.command("erase")(erase.erase)
program.add_typer(receipt.program, name="receipt")
program.command("export")(archives.export)
program.command("import")(archives.import_)
program.add_typer(dead_letters.program, name="dead-letter")
program.command("replay")(replay.replay)
program.command("move")(move.move)
program.command("purge")(purge.purge)
program.command("retention")(retention.retention)
program.add_typer(rotate.program, name="rotate")
program.command("verify")(verify.verify)
program.add_typer(audit.program, name="audit")
program.add_typer(attack.program, name="attack")


def main() -> None:
    """Run the command that the arguments name."""
    take_streams()
    try:
        program()
    finally:
        let_go_of_output()

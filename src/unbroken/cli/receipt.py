"""`unbroken receipt verify` and `unbroken receipt public-key`: proof that something was erased."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import TYPE_CHECKING, Annotated

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, Data, Json, content_of
from unbroken.cli.output import errors_as_sentences, print_facts, print_json
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from unbroken.flow.context import Context

program = typer.Typer(help="Receipts: proof that something was erased.", no_args_is_help=True)


@program.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt, as the call or the command answered it.")],
    public_key: Annotated[
        Path | None, typer.Option(help="The platform's public key; that of the data directory if left out.")
    ] = None,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Check that a receipt was signed by the platform and not changed since. Exit code 1 if not."""
    from unbroken.flow import receipts  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        public = _own(data) if public_key is None else receipts.read_pem(content_of(public_key))
        try:
            receipt = receipts.verify(content_of(file), public)
        except receipts.NotGenuine as reason:
            raise InvalidRequest(f"{file} is not genuine. {reason}") from None
        if json:
            print_json({"genuine": True, "receipt": receipt})
        else:
            print_facts("This receipt is genuine.", wire.plain(receipt))


@program.command("public-key")
def public_key(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Print the public key that receipts are checked with; give it to whoever is to check them."""
    from unbroken.flow import receipts  # noqa: PLC0415

    with errors_as_sentences(json=json):
        public = _own(data)
        if json:
            print_json({"key_id": receipts.key_id(public), "public_key": receipts.pem(public)})
        else:
            typer.echo(receipts.pem(public), nl=False)


def _own(data: Path) -> Ed25519PublicKey:
    from unbroken.flow import receipts  # noqa: PLC0415

    async def key(context: Context) -> Ed25519PublicKey:
        return receipts.public_key(context.vault)

    return run(data, key)

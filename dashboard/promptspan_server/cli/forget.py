"""`promptspan forget`: a person's or a tenant's texts and identifiers go, the money stays."""

from typing import Annotated

import typer

from promptspan_server.cli.options import WriterDsnOption


def forget(
    user: Annotated[
        str | None,
        typer.Option("--user", help="A user's id, plain or as the store shows it.", show_default=False),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="A tenant's name.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    dsn: WriterDsnOption = None,
) -> None:
    """Delete texts and identifiers of a user or a tenant everywhere, and keep the money.

    The ids that our SDK hashed are found by the plain id. Without a DSN it goes to the local store, as the
    user who may write. What arrives later (queues, spools) needs it again.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.store.executor import ClientExecutor
    from promptspan_server.store.forget import forget as clear

    if not (user or tenant) or (user and tenant):
        raise CommandError("say whom: --user ID or --tenant NAME")
    with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
        kind = "user" if user else "tenant"
        found = clear(ClientExecutor(client), kind, user or tenant or "", rehearsal=dry_run)
    would = "would be " if dry_run else ""
    for table, rows, done in (
        ("llm_texts", found.texts, "deleted"),
        ("spans", found.spans, "deleted"),
        ("quarantine", found.quarantine, "deleted"),
        ("scores", found.scores, "without their explanation"),
        ("llm_calls", found.calls, "without user, session and attributes"),
    ):
        print(f"{table:<11}{rows:>8}  {would}{done}")
    print(f"in {found.traces} traces; tokens, cost and the ledger are as they were")
    if not found.traces:
        print("nobody of that name is in the store")

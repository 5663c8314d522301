from typing import Annotated

import typer

from promptspan_server.cli.options import DsnOption


def template(
    name: Annotated[str, typer.Argument(help="Name of the prompt.")],
    version: Annotated[
        str | None, typer.Argument(help="Its version. Left out: the newest.", show_default=False)
    ] = None,
    *,
    dsn: DsnOption = None,
) -> None:
    """Print a version's template as the store has it, in the form that Prompt.from_file reads.

    The way back from a bad version: promptspan template inbox-summary 6 > inbox-summary.md, then deploy.
    """
    import yaml

    from promptspan_server.cli.connecting import chosen_dsn, connected
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.templates import Templates

    chosen = chosen_dsn(dsn)
    with connected(chosen):
        rows = [row for row in Store(chosen).ask(Templates(name)).rows if row.template]
    if not rows:
        raise CommandError(
            f"the store has no template of {name}: it comes with Prompt(...) or Prompt.from_file(...)", 1
        )
    found = next((row for row in rows if version is None or row.version == version), None)
    if found is None:
        known = ", ".join(dict.fromkeys(row.version for row in rows))
        raise CommandError(f"{name} has no version {version}; there are {known}", 1)
    head = {"name": name, "version": found.version, "description": found.description, "owner": found.owner}
    front = yaml.safe_dump(
        {key: value for key, value in head.items() if value}, sort_keys=False, allow_unicode=True
    )
    print(f"---\n{front}---\n{found.template}", end="" if found.template.endswith("\n") else "\n")

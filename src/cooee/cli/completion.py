"""``cooee completion``: the script by which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

from cooee.cli.errors import CliError

VARIABLE = "_COOEE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL.

    \b
    bash: eval "$(cooee completion bash)"          (in ~/.bashrc)
    zsh:  eval "$(cooee completion zsh)"           (in ~/.zshrc)
    fish: cooee completion fish | source           (in ~/.config/fish/config.fish)
    """  # noqa: D301  # click needs the character itself
    found = get_completion_class(shell)
    if found is None:
        raise CliError(f"There is no completion for {shell}.", code="state")
    root = context.find_root().command
    click.echo(found(root, {}, "cooee", VARIABLE).source())

"""``cooee serve`` and ``cooee config``."""

import sys
from pathlib import Path
from typing import Any

import click

from cooee.app import config as configuration

_CONFIG_OPTION = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file  [default: cooee.toml in this folder, if there is one]",
)


def _load(config_file: Path | None, flags: dict[str, Any]) -> configuration.Config:
    try:
        return configuration.load(config_file, flags=flags)
    except configuration.ConfigError as problem:
        raise click.ClickException(str(problem)) from None


@click.command()
@_CONFIG_OPTION
@click.option("--host", help="Address to listen on  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0 takes a free one  [default: 8080]")
@click.option("--data-dir", help="Folder of the store, made on first start  [default: cooee-data]")
@click.option("--public-url", help="The URL people use, when it is not this address.")
@click.option("--tls-cert", metavar="FILE", help="Speak TLS with this certificate (PEM, with its chain).")
@click.option("--tls-key", metavar="FILE", help="The certificate's key (PEM).")
@click.option("--lan", is_flag=True, default=None, help="Serve the local network, with certificates of its own.")
@click.option("--registration", type=click.Choice(["open", "invite", "closed"]), help="Who may register.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least severe log entries.")
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), help="Form of the log entries.")
def serve(config_file: Path | None, **options: Any) -> None:
    """Run the chat server until Ctrl-C or SIGTERM, which drain it.

    Every setting can stand in cooee.toml, in the environment (COOEE_PORT=9000) or, for the most used, in a flag;
    `cooee config show` prints them all with their defaults.
    """
    flags = {
        "server.host": options["host"],
        "server.port": options["port"],
        "server.data_dir": options["data_dir"],
        "server.public_url": options["public_url"],
        "server.tls_cert": options["tls_cert"],
        "server.tls_key": options["tls_key"],
        "server.lan": options["lan"],
        "accounts.registration": options["registration"],
        "log.level": options["log_level"],
        "log.format": options["log_format"],
    }
    config = _load(config_file, flags)
    from cooee.app.run import StartFailed, run  # noqa: PLC0415  # the server's imports cost what no other command needs

    try:
        run(config)
    except StartFailed as problem:
        raise click.ClickException(str(problem)) from None


@click.group()
def config() -> None:
    """Show the server's configuration."""


@config.command()
@_CONFIG_OPTION
def show(config_file: Path | None) -> None:
    """Print the configuration in force as a commented cooee.toml."""
    sys.stdout.write(configuration.show(_load(config_file, {})))

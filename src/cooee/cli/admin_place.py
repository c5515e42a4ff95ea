"""Which server ``cooee admin`` is about."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from cooee.app import config as configuration
from cooee.cli.admin_socket import AdminSocket, NobodyListens
from cooee.cli.errors import UNREACHABLE, CliError, sentence

T = TypeVar("T")


class Place(msgspec.Struct):
    """Which server is administered."""

    data_dir: str | None = None
    config_file: Path | None = None

    def config(self) -> configuration.Config:
        """Return the server's configuration.

        Raises:
            CliError: it cannot be used.
        """
        try:
            return configuration.load(self.config_file, flags={"server.data_dir": self.data_dir})
        except configuration.ConfigError as problem:
            raise CliError(sentence(str(problem)), code="state") from None

    def folder(self) -> Path:
        """Return the data folder, which is there.

        Raises:
            CliError: it is not.
        """
        folder = Path(self.config().server.data_dir)
        if not folder.is_dir():
            raise CliError(
                f"There is no data folder {folder}; name the server's with --data-dir, or start it once: cooee serve",
                code="state",
            )
        return folder

    def socket(self) -> AdminSocket:
        """Return the way to the running server."""
        return AdminSocket(self.folder() / "admin.sock")


pass_place = click.make_pass_decorator(Place, ensure=True)


def running(place: Place, ask: Callable[[AdminSocket], T]) -> T:
    """Return what ``ask`` returns, given the way to the running server.

    Raises:
        CliError: none runs (exit 3).
    """
    try:
        return ask(place.socket())
    except NobodyListens:
        raise CliError(
            f"No server runs on the data folder {place.folder()}; start it with `cooee serve`, "
            "or name another with --data-dir.",
            UNREACHABLE,
            code="unreachable",
        ) from None

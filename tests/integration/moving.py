"""The whole program on a machine that moves: its addresses are the lines of the file that MOVING_ADDRESSES names."""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from cooee.app.tls import addresses
from cooee.app.tls.addresses import Address
from cooee.cli.main import main


def _interfaces() -> Iterator[Address]:
    return map(ip_address, Path(os.environ["MOVING_ADDRESSES"]).read_text("ascii").split())


def _main() -> None:
    return None


if __name__ == "__main__":
    addresses._interfaces = _interfaces
    addresses._main = _main
    main()

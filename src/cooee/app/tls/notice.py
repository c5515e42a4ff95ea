"""What the terminal shows of a local network: the addresses, the fingerprint, and a QR code for a phone's camera."""

from collections.abc import Iterator

import segno

from cooee.app.tls.serving import Tls, url_of

_QUIET = 2
"""Light modules around the code. Four would be the norm; cameras are content with two, and terminals are narrow."""
_DARK_ON_LIGHT = "\x1b[38;5;16;48;5;231m"
"""Black on white from the fixed part of the palette, whatever the terminal's own colours are."""
_PLAIN = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def lan_notice(tls: Tls, plain_port: int, *, with_code: bool) -> Iterator[str]:
    """Yield the lines that tell how to reach the server from this network. ``with_code``: this is a terminal."""
    if tls.lan is None:
        return
    for public in tls.lan.public:
        yield f"Warning: {public} is a public address. Without a firewall the whole internet reaches this server."
    addresses = [str(address) for address in tls.lan.addresses]
    if not addresses:
        yield "This machine has no address in a private network now; it is looked for again."
        return
    names = [name for name in tls.lan.names if name.endswith(".local")]
    yield "In this network, with encryption:"
    for host in (*addresses, *names):
        yield f"  {url_of('https', host, tls.port)}"
    trust = url_of("http", addresses[0], plain_port) + "/trust"
    yield f"On each phone or computer first, once:  {trust}"
    if with_code:
        yield from code_lines(trust)
    material = tls.material()
    if material is not None:
        yield f"Compare the fingerprint there:  {material.fingerprint}"


def code_lines(text: str) -> Iterator[str]:
    """Yield a QR code in half blocks, two rows of modules a line, dark on light on any terminal."""
    rows = [[bool(module) for module in row] for row in segno.make_qr(text, error="l").matrix_iter(border=_QUIET)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        yield _DARK_ON_LIGHT + "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) + _PLAIN

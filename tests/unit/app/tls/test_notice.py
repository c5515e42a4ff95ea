"""What the terminal shows of a local network."""

import re
from ipaddress import ip_address
from pathlib import Path

from cooee.app.config import ServerConfig
from cooee.app.tls.lan import LocalNetwork
from cooee.app.tls.notice import code_lines, lan_notice
from cooee.app.tls.serving import Tls
from tests.fakes.certificates import write_pair

_COLOURS = re.compile("\x1b\\[[0-9;]*m")


def network(folder: Path, *addresses: str) -> Tls:
    tls = Tls(ServerConfig(lan=True, data_dir=str(folder)))
    tls.lan = LocalNetwork(folder, lambda: tuple(map(ip_address, addresses)), "box")
    tls.lan.renew()
    tls.port = 8443
    return tls


def test_addresses_page_and_fingerprint_are_told(tmp_path: Path) -> None:
    tls = network(tmp_path, "192.168.1.5", "fd00::5")
    lines = list(lan_notice(tls, 8080, with_code=False))
    assert lines[1:4] == ["  https://192.168.1.5:8443", "  https://[fd00::5]:8443", "  https://box.local:8443"]
    assert "http://192.168.1.5:8080/trust" in lines[4]
    material = tls.material()
    assert material is not None
    assert lines[-1].endswith(material.fingerprint)
    assert "\x1b" not in "".join(lines)


def test_a_machine_without_a_network_says_so(tmp_path: Path) -> None:
    (line,) = lan_notice(network(tmp_path), 8080, with_code=True)
    assert "no address" in line


def test_a_public_address_is_warned_of(tmp_path: Path) -> None:
    lines = list(lan_notice(network(tmp_path, "192.168.1.5", "8.8.8.8", "2a00::1"), 8080, with_code=False))
    assert lines[0] == (
        "Warning: 8.8.8.8 is a public address. Without a firewall the whole internet reaches this server."
    )
    assert "2a00" not in "".join(lines)
    assert [line for line in lines[1:] if "8.8.8.8" in line] == []


def test_without_a_local_network_nothing_is_told(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    tls = Tls(ServerConfig(tls_cert=str(pair.certificate), tls_key=str(pair.key)))
    assert list(lan_notice(tls, 8080, with_code=True)) == []


def test_the_code_is_dark_on_light_and_square(tmp_path: Path) -> None:
    """Half blocks: two rows of modules a line, so a terminal shows a square; each line sets and ends its colours."""
    lines = list(code_lines("http://192.168.1.5:8080/trust"))
    assert all(line.startswith("\x1b[38;5;16;48;5;231m") and line.endswith("\x1b[0m") for line in lines)
    plain = [_COLOURS.sub("", line) for line in lines]
    widths = {len(line) for line in plain}
    assert len(widths) == 1
    assert abs(widths.pop() - 2 * len(plain)) <= 1
    assert set("".join(plain)) == set(" ▀▄█")
    assert plain[0].strip() == ""
    assert lines[:1] != list(lan_notice(network(tmp_path, "10.0.0.2"), 8080, with_code=True))[:1]

"""Two pages for people on a local network: how to trust this server, and why plain http does not do. No script."""

import plistlib
import uuid
from html import escape
from typing import NamedTuple

_STYLE = """
:root { color-scheme: light dark; --line: #d5d5d5; --soft: #f4f4f4; --link: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --line: #3d3d3d; --soft: #242424; --link: #8ab4f8; } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 38rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code, .print { font-family: ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .1em .3em;
  overflow-wrap: anywhere; }
.print { display: block; padding: .6rem .8rem; word-spacing: .3em; }
.go { display: inline-block; padding: .6rem 1rem; border: 2px solid var(--link); border-radius: 8px;
  text-decoration: none; overflow-wrap: anywhere; }
.good { border-left: 4px solid #2e8b57; padding: .4rem .8rem; background: var(--soft); }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; padding: 0 .9rem; }
summary { padding: .7rem 0; cursor: pointer; font-weight: 600; } ol { padding-left: 1.3rem; } li { margin: .4rem 0; }
"""

_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<main>
{body}
</main>
</html>
"""

_TRUST = """<h1>Trust this chat server</h1>
{greeting}
<p>Cooee runs on a machine in this network. Browsers keep a connection private only when they know who is at its other
end. No public authority vouches for a machine at home, so this server has an authority of its own,
<b>{name}</b>. Each device has to be told once that you trust it.</p>

<h2>1. Compare</h2>
<p>By plain http somebody else could have sent this page. So look whether the terminal in which the server was started
shows the same fingerprint (SHA-256). Your device shows it, too, before it installs anything. If they differ, stop.</p>
<p class="print">{fingerprint}</p>

<h2>2. Install, on your system</h2>
{systems}

<h2>3. Go on</h2>
{onward}

<h2>What you allow by it</h2>
<p>The authority can vouch for private addresses and local names only, never for a site on the internet, and its key
never leaves the server's machine. To take your trust back, remove <b>{name}</b> where you installed it.</p>
"""

_SYSTEMS = (
    (
        "ios",
        "iPhone and iPad",
        """
<li>In Safari, download <a href="/trust/cooee.mobileconfig">the profile</a> and allow it.</li>
<li>Open <b>Settings</b>, tap <b>Profile Downloaded</b>, compare the fingerprint under <b>More Details</b>, and tap
<b>Install</b>.</li>
<li>In <b>Settings &rsaquo; General &rsaquo; About &rsaquo; Certificate Trust Settings</b> switch <b>{name}</b> on.</li>
""",
    ),
    (
        "android",
        "Android",
        """
<li>Download <a href="/trust/ca.crt">the certificate</a>.</li>
<li>In <b>Settings</b> search for <b>CA certificate</b> (it stands under <b>Security &rsaquo; Encryption and credentials
&rsaquo; Install a certificate</b>). Confirm the warning and choose <code>cooee-ca.crt</code>.</li>
<li>Chrome and most browsers are content with that. In Firefox open <b>Settings &rsaquo; About Firefox</b>, tap the logo
until it says that the secret menu is there, and switch on <b>Secret Settings &rsaquo; Use third party CA
certificates</b>.</li>
""",
    ),
    (
        "macos",
        "macOS",
        """
<li>Download <a href="/trust/ca.crt">the certificate</a> and open it; add it to the <b>login</b> keychain.</li>
<li>In <b>Keychain Access</b> open <b>{name}</b>, compare the fingerprint, and under <b>Trust</b> choose
<b>Always Trust</b>.</li>
""",
    ),
    (
        "windows",
        "Windows",
        """
<li>Download <a href="/trust/ca.crt">the certificate</a> and open it.</li>
<li>Choose <b>Install Certificate &rsaquo; Current User &rsaquo; Place all certificates in the following store &rsaquo;
Trusted Root Certification Authorities</b>.</li>
""",
    ),
    (
        "linux",
        "Linux",
        """
<li>Download <a href="/trust/ca.pem">the certificate</a> (<code>cooee-ca.pem</code>).</li>
<li>Debian, Ubuntu: copy it to <code>/usr/local/share/ca-certificates/cooee-ca.crt</code>, then
<code>sudo update-ca-certificates</code>. Fedora: <code>sudo trust anchor cooee-ca.pem</code>.</li>
<li>Chrome and Chromium: <b>Settings &rsaquo; Privacy and security &rsaquo; Security &rsaquo; Manage certificates
&rsaquo; Installed by you &rsaquo; Trusted certificates &rsaquo; Import</b>.</li>
""",
    ),
    (
        "firefox",
        "Firefox on a computer",
        """
<li>Download <a href="/trust/ca.pem">the certificate</a>.</li>
<li><b>Settings &rsaquo; Privacy &amp; Security &rsaquo; Certificates &rsaquo; View Certificates &rsaquo; Authorities
&rsaquo; Import</b>; tick <b>Trust this CA to identify websites</b>.</li>
""",
    ),
    (
        "cli",
        "The command line, cooee",
        """
<li>Download <a href="/trust/ca.pem">the certificate</a>.</li>
<li><code>export COOEE_CA_FILE="$PWD/cooee-ca.pem"</code>, then <code>cooee register NAME --url {url}</code>.</li>
""",
    ),
)
"""Key, title and steps."""
_MARKS = (
    ("iPhone", "ios"),
    ("iPad", "ios"),
    ("Android", "android"),
    ("Firefox", "firefox"),
    ("Macintosh", "macos"),
    ("Windows", "windows"),
    ("Linux", "linux"),
)
"""What a browser's name for itself holds on which system; the first that is found counts."""

_EXPLANATION = """<h1>Use https here</h1>
<p>This chat server is reached without encryption from its own machine only. From everywhere else, what you write and
your password could be read on the way, and browsers give a page no cryptography.</p>
{onward}
"""


class TrustMaterial(NamedTuple):
    """What a device is to trust: the authority's name, its certificate, and the fingerprint to compare."""

    name: str
    der: bytes
    pem: bytes
    fingerprint: str


def trust_page(material: TrustMaterial, url: str, user_agent: str, *, encrypted: bool) -> str:
    """Return how to trust the authority. ``url``: the https address, empty when none is known."""
    name = escape(material.name)
    greeting = "<p class='good'>This page came over https, so this device trusts the server already.</p>"
    onward = f"<p><a class='go' href='{escape(url)}/'>Open {escape(url)}</a></p>" if url else _NO_URL
    body = _TRUST.format(
        greeting=greeting if encrypted else "",
        name=name,
        fingerprint=escape(material.fingerprint).replace(":", ":<wbr>"),
        systems=_systems(user_agent).replace("{name}", name).replace("{url}", escape(url)),
        onward=onward,
    )
    return _FRAME.format(title="Trust this chat server", style=_STYLE, body=body)


def explanation_page(url: str, *, trust: bool) -> str:
    """Return why plain http does not do, and where to go; ``trust``: there is an authority to be trusted first."""
    onward = f"<p><a class='go' href='{escape(url)}/'>Open {escape(url)}</a></p>" if url else _NO_URL
    if trust:
        onward = f"<p>For the first time on this device: <a href='/trust'>trust this server</a>.</p>{onward}"
    return _FRAME.format(title="Use https here", style=_STYLE, body=_EXPLANATION.format(onward=onward))


def mobileconfig(material: TrustMaterial) -> bytes:
    """Return the profile that makes Apple's systems offer the certificate; the same one each time."""
    own = uuid.uuid5(uuid.NAMESPACE_OID, material.fingerprint)
    payload = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"cooee.lan.{own}.root",
        "PayloadUUID": str(uuid.uuid5(own, "root")).upper(),
        "PayloadDisplayName": material.name,
        "PayloadCertificateFileName": "cooee-ca.crt",
        "PayloadContent": material.der,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"cooee.lan.{own}",
        "PayloadUUID": str(own).upper(),
        "PayloadDisplayName": material.name,
        "PayloadDescription": f"Lets this device trust the chat server of its network. SHA-256: {material.fingerprint}",
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile)


_NO_URL = "<p>Ask who runs this server for its https address.</p>"


def _systems(user_agent: str) -> str:
    """Return the steps for each system; those for the one that asks are open."""
    here = next((system for mark, system in _MARKS if mark in user_agent), "")
    pieces = []
    for key, title, steps in _SYSTEMS:
        pieces.append(
            f"<details{' open' if key == here else ''}><summary>{title}</summary>\n<ol>{steps}</ol></details>"
        )
    return "\n".join(pieces)

"""What stands at ``/``: what this server is, and how to talk to it."""

from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version

from cooee.protocol.http import ServerInfo

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Cooee</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem; color: #222; }}
code, pre {{ background: #f2f2f2; padding: .1em .3em; border-radius: 3px; }}
pre {{ padding: 1em; overflow-x: auto; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #151515; color: #ddd; }} code, pre {{ background: #262626; }} a {{ color: #8cf; }}
}}
</style>
<h1>Cooee</h1>
<p>This is a chat server, version {version}. It speaks to programs:</p>
<pre>cooee register alice --url {{this address}}
cooee send bob "hello"
cooee listen</pre>
<ul>
<li>WebSocket: <code>{socket}</code>, described in <a href="{asyncapi}">AsyncAPI</a></li>
<li>HTTP: described in <a href="{openapi}">OpenAPI</a></li>
<li>Without WebSocket: <code>POST {poll}</code></li>
<li>Health: <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></li>
</ul>
</html>
"""


@cache
def server_info() -> ServerInfo:
    """Return what a program learns at ``/``."""
    try:
        installed = version("cooee")
    except PackageNotFoundError:
        installed = "unknown"
    return ServerInfo("cooee", installed)


@cache
def landing_page() -> str:
    """Return what a person sees at ``/``."""
    info = server_info()
    return _PAGE.format(
        version=escape(info.version),
        socket=info.web_socket,
        asyncapi=info.async_api,
        openapi=info.open_api,
        poll=info.long_poll,
    )

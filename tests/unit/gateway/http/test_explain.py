"""What plain HTTP from elsewhere gets: reasons and trust pages, and nothing that the client could have put there."""

import plistlib
import re
from html.parser import HTMLParser

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cooee.gateway.http.explain import Explanation, TrustPages, reached_at
from cooee.gateway.http.lan_pages import TrustMaterial, explanation_page, mobileconfig, trust_page
from cooee.gateway.origins import Origins
from tests.fakes.asgi import AsgiClient, Reply

MATERIAL = TrustMaterial(
    "Cooee on <box>, 2026-11-24", b"\x30der", b"-----BEGIN CERTIFICATE-----", "AB:CD:" * 15 + "AB:CD"
)
URL = "https://192.168.1.5:8443"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that must not be reached."""
    await PlainTextResponse(f"behind {scope['path']}")(scope, receive, send)


def told(_: str) -> str:
    return URL


class Browser:
    """Asks an application by a method and a path."""

    def __init__(self, app: ASGIApp) -> None:
        self._client = AsgiClient(app, "192.168.1.9")

    async def __call__(self, method: str, path: str, **headers: str) -> Reply:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.request(method, path, headers=given)


@pytest.fixture
def explain() -> Browser:
    """A browser that meets the pages, before the explanation, before the application."""
    explanation = Explanation(behind, told, Origins(), trust=True)
    return Browser(TrustPages(explanation, MATERIAL, told, Origins()))


# --- the explanation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path", ["/", "/v1/me", "/v1/ws", "/metrics", "/v1/admin/users", "/trustless", "/trust/x", "/x" * 500]
)
async def test_every_method_and_path_is_explained_to_programs(explain: Browser, method: str, path: str) -> None:
    answer = await explain(method, path, authorization="Bearer secret")
    assert answer.status == 403
    assert "location" not in answer.headers
    error = answer.json["error"]
    assert (error["code"], error["retryable"]) == ("https_required", False)
    assert URL in error["message"]
    assert b"secret" not in answer.body


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_explained_to_browsers(explain: Browser, method: str) -> None:
    answer = await explain(method, "/", accept="text/html,*/*")
    assert answer.status == 403
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "location" not in answer.headers
    assert f"href='{URL}/'" in answer.body.decode()
    assert "href='/trust'" in answer.body.decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_answered(explain: Browser, path: str) -> None:
    assert (await explain("GET", path)).body == f"behind {path}".encode()
    assert (await explain("POST", path)).status == 403


async def test_without_an_authority_there_is_nothing_to_trust() -> None:
    plain = Browser(Explanation(behind, lambda _: "", Origins(), trust=False))
    assert b"trust" not in (await plain("GET", "/", accept="text/html")).body
    assert b"trust" not in (await plain("GET", "/")).body
    assert (await plain("GET", "/trust")).status == 403


@pytest.mark.parametrize("host", ["evil.example", 'evil.example:1"><script>', "192.168.1.5@evil.example"])
@pytest.mark.parametrize("path", ["/", "/trust"])
async def test_the_host_header_goes_nowhere(explain: Browser, path: str, host: str) -> None:
    answer = await explain(
        "GET", path, host=host, x_forwarded_host=host, user_agent=host, referer=host, accept="text/html"
    )
    assert b"evil" not in answer.body
    assert "evil" not in str(answer.headers)


async def test_pages_of_other_origins_are_refused(explain: Browser) -> None:
    for path in ("/", "/trust", "/trust/ca.crt"):
        assert (await explain("GET", path, origin="https://evil.example")).code == "forbidden"


# --- the pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/trust/ca.crt", "application/x-x509-ca-cert", MATERIAL.der),
        ("/trust/ca.pem", "application/x-pem-file", MATERIAL.pem),
        ("/trust/cooee.mobileconfig", "application/x-apple-aspen-config", mobileconfig(MATERIAL)),
    ],
)
async def test_the_files(explain: Browser, path: str, kind: str, content: bytes) -> None:
    answer = await explain("GET", path)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, kind, content)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await explain("HEAD", path)).status == 200
    assert (await explain("POST", path)).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/trust/../lan-ca.key",
        "/trust/%2e%2e/lan-ca.key",
        "/trust/..%2flan-ca.key",
        "/trust/lan-ca.key",
        "/trust/ca.key",
        "/trust//ca.crt",
        "/trust/ca.crt/",
        "/trust/ca.crt%00",
        "/trust/ca.crt%0a",
        "/trust/CA.CRT",
        "/trust//etc/passwd",
        "//trust",
    ],
)
async def test_nothing_else_is_served_below_trust(explain: Browser, path: str) -> None:
    answer = await explain("GET", path)
    assert answer.status in (403, 404)
    assert answer.body != MATERIAL.der


async def test_what_is_encrypted_has_the_pages_and_the_application() -> None:
    async def over_https(scope: Scope, receive: Receive, send: Send) -> None:
        await pages({**scope, "scheme": "https"}, receive, send)

    pages = TrustPages(behind, MATERIAL, told, Origins())
    whole = Browser(over_https)
    assert b"came over https" in (await whole("GET", "/trust")).body
    assert b"came over https" not in (await Browser(pages)("GET", "/trust")).body
    assert (await whole("GET", "/v1/me")).body == b"behind /v1/me"
    assert (await whole("POST", "/trust")).body == b"behind /trust"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "details" and "open" in given:
            self.open.append("details")
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value]


def page(agent: str = "", url: str = URL, *, encrypted: bool = False) -> str:
    return trust_page(MATERIAL, url, agent, encrypted=encrypted)


def test_a_page_needs_no_script_and_loads_nothing() -> None:
    for text in (page(), explanation_page(URL, trust=True), explanation_page("", trust=False)):
        parsed = Page(text)
        assert not {"script", "img", "link", "iframe", "form", "object"} & set(parsed.tags)
        assert {link for link in parsed.links if not link.startswith("/trust")} <= {f"{URL}/"}
        assert "url(" not in text
        assert 'name="viewport"' in text
        assert "{" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_names_are_escaped_and_the_fingerprint_is_whole() -> None:
    text = page()
    assert "<box>" not in text
    assert "Cooee on &lt;box&gt;, 2026-11-24" in text
    assert MATERIAL.fingerprint in text.replace("<wbr>", "")


@pytest.mark.parametrize(
    ("agent", "title"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "iPhone and iPad"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/130", "Android"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:130.0) Gecko Firefox/130.0", "Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605", "macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130", "Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/130", "Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko Firefox/130.0", "Firefox on a computer"),
    ],
)
def test_the_steps_of_the_own_system_are_open(agent: str, title: str) -> None:
    text = page(agent)
    assert Page(text).open == ["details"]
    assert f"<details open><summary>{title}</summary>" in text


def test_an_unknown_system_sees_the_list() -> None:
    assert Page(page("curl/8")).open == []


def test_apples_profile_holds_the_certificate_and_is_the_same_each_time() -> None:
    profile = plistlib.loads(mobileconfig(MATERIAL))
    (payload,) = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert payload["PayloadContent"] == MATERIAL.der
    assert profile["PayloadUUID"] != payload["PayloadUUID"]
    assert mobileconfig(MATERIAL) == mobileconfig(MATERIAL)
    other = MATERIAL._replace(fingerprint="00")
    assert plistlib.loads(mobileconfig(other))["PayloadUUID"] != profile["PayloadUUID"]


def test_where_a_connection_came_to() -> None:
    assert reached_at({"server": ("192.168.1.5", 8080)}) == "192.168.1.5"
    assert reached_at({"server": None}) == ""

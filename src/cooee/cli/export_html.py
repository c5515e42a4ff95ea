"""A conversation as one page for the browser, or for paper: no script, nothing fetched, everything escaped.

The page's own policy allows its one style sheet, named by its hash, and nothing else: what might get through the
escaping could not run, load or send anything.
"""

import base64
import hashlib
import html
import unicodedata
from urllib.parse import quote

from cooee.cli.export_forms import Entry, Head, day_of, local
from cooee.cli.files import file_text
from cooee.cli.render import Look, happened, placeholder, reactions_text, safe
from cooee.client import Media

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1f23;--faint:#5b6470;--line:#d9dde2;--theirs:#f1f3f5;
--own:#dff1e4;--blue:#0b6bcb}
@media (prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e8eaed;--faint:#9aa4b0;--line:#33393f;
--theirs:#22272c;--own:#16382a;--blue:#6bb2ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.45 system-ui,sans-serif}
main,header.page,footer.page{max-width:46rem;margin:0 auto;padding:0 1rem}
header.page{padding-top:1.5rem}
h1{font-size:1.4rem;margin:0;overflow-wrap:anywhere}
header.page p,footer.page{color:var(--faint);font-size:.85rem;overflow-wrap:anywhere}
footer.page{padding-bottom:2rem}
h2{font-size:.85rem;font-weight:600;color:var(--faint);text-align:center;margin:1.6rem 0 .8rem;
border-top:1px solid var(--line);padding-top:.8rem}
article{width:fit-content;max-width:85%;margin:.35rem 0;padding:.4rem .7rem;border-radius:.7rem;
background:var(--theirs);overflow-wrap:anywhere}
article.own{margin-left:auto;background:var(--own)}
article p{margin:.1rem 0;white-space:pre-wrap}
article .head,article .foot{font-size:.78rem;color:var(--faint)}
article .head b{color:var(--ink)}
article .foot{text-align:end}
article a{color:inherit}
.gone,.kind{color:var(--faint);font-style:italic}
.read{color:var(--blue);font-weight:600}
.event{color:var(--faint);font-size:.85rem;text-align:center;margin:.6rem 0;overflow-wrap:anywhere}
@media print{:root{--paper:#fff;--ink:#000;--faint:#444;--line:#999;--theirs:#fff;--own:#fff;--blue:#004c99}
body{font-size:10.5pt}article{border:1px solid var(--line);break-inside:avoid}h2{break-after:avoid}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode("ascii")).digest()).decode("ascii")
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
"""The page's Content-Security-Policy."""

_TICKS = {"sent": "✓", "delivered": "✓✓", "read": "✓✓"}
_STEERING = frozenset({"Cc", "Cs"})


class Html:
    """One page that needs nothing else."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._day = ""
        self._me = ""

    def begin(self, head: Head) -> str:
        """Return the page's head and what it is."""
        self._me = head.user_id
        title = escaped(safe(head.title) or head.conversation_id)
        when = local(head.exported_at)
        return self._written(
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{escaped(POLICY)}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="referrer" content="no-referrer">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
            f'</head>\n<body>\n<header class="page">\n<h1><bdi>{title}</bdi></h1>\n'
            f"<p>{escaped(head.conversation_id)}, as {escaped(head.user_id)} at {escaped(head.url)} sees it, "
            f"{when:%Y-%m-%d %H:%M %z}</p>\n</header>\n<main>\n"
        )

    def entry(self, entry: Entry) -> str:
        """Return a message, after the day when that is another than before."""
        message = entry.message
        day = day_of(message.timestamp)
        head = "" if day == self._day else f"<h2>{escaped(day)}</h2>\n"
        self._day = day
        number = message.sequence_number
        if happened(message):
            told = f'<p class="event" id="m{number}">{escaped(happened(message))}</p>\n'
        else:
            own = ' class="own"' if message.sender_id == self._me else ""
            told = f'<article{own} id="m{number}">{_head(entry)}{_text(entry)}{_foot(entry)}</article>\n'
        return self._written(head + told)

    def end(self, count: int) -> str:
        """Return the page's end."""
        plural = "" if count == 1 else "s"
        return f'</main>\n<footer class="page">{count} message{plural}</footer>\n</body>\n</html>\n'

    def _written(self, page: str) -> str:
        return page if self._look.unicode else page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def escaped(text: str) -> str:
    """Return ``text`` for any place in a page, between tags or in a quoted attribute; control characters are named."""
    named = (
        f"\\x{ord(one):02x}" if unicodedata.category(one) in _STEERING and one not in "\n\t" else one for one in text
    )
    return html.escape("".join(named), quote=True)


def _head(entry: Entry) -> str:
    when = local(entry.message.timestamp)
    stamp = f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%H:%M}</time>' if when else "?"
    answers = f' to <a href="#m{entry.answers}">{entry.answers}</a>' if entry.answers else ""
    return f'<div class="head"><b><bdi>{escaped(entry.who)}</bdi></b>{answers} {stamp}</div>'


def _text(entry: Entry) -> str:
    message = entry.message
    if message.deleted:
        return '<p class="gone">this message was deleted</p>'
    if placeholder(message):
        return f'<p class="gone">{escaped(placeholder(message))}</p>'
    if message.media is not None:
        return _file(entry, message.media)
    kind = "" if message.content_type == "text" else f'<span class="kind">[{escaped(message.content_type)}]</span> '
    return f'<p dir="auto">{kind}{escaped(message.text.replace(chr(13) + chr(10), chr(10)))}</p>'


def _file(entry: Entry, media: Media) -> str:
    """Return a line with the file, a link where it was saved, and its caption."""
    told = f"<bdi>{escaped(safe(file_text(media)))}</bdi>"
    if entry.file:
        told = f'<a href="{escaped(quote(entry.file))}" download>{told}</a>'
    caption = entry.message.text
    said = f'<p dir="auto">{escaped(caption.replace(chr(13) + chr(10), chr(10)))}</p>' if caption else ""
    return f'<p><span class="kind">[{escaped(entry.message.content_type)}]</span> {told}</p>{said}'


def _foot(entry: Entry) -> str:
    number = entry.message.sequence_number
    edited = " · edited" if entry.message.edited else ""
    said = f" · {escaped(reactions_text(entry.message))}" if entry.message.reactions else ""
    ticks = f' <span class="{entry.status}">{_TICKS[entry.status]} {entry.status}</span>' if entry.status else ""
    return f'<div class="foot">{number}{edited}{said}{ticks}</div>'

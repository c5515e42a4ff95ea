"""``Content-Disposition`` of downloads: RFC 6266, with names of any script by RFC 8187. Nothing in a name gets out."""

from urllib.parse import quote

MAX_BYTES = 255
"""Of a name in UTF-8; what is longer is cut."""
_UNSAFE = frozenset('"\\/%;<>:|?*')


def content_disposition(filename: str, *, inline: bool) -> str:
    """Return the header's value, ASCII only. ``filename`` may be any text; empty, or nothing that can be one: none."""
    kind = "inline" if inline else "attachment"
    name = safe_name(filename)
    if not name:
        return kind
    plain = "".join(char if char.isascii() and char not in _UNSAFE else "_" for char in name)
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def safe_name(filename: str) -> str:
    """Return the name without what steers terminals and paths, and at most `MAX_BYTES` long."""
    text = filename.encode(errors="replace").decode()
    text = "".join(char if char.isprintable() and char not in "/\\" else "_" for char in text).strip(" .")
    return text.encode()[:MAX_BYTES].decode(errors="ignore")

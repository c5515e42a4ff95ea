"""How texts are made comparable, so that a search finds what was written in capitals too. Pure."""


def fold(text: str) -> str:
    """Return ``text`` by the full case folding of Unicode (§3.13, C+F), as a database can hold it.

    Folding goes character by character, so that a part of a text stays a part of it. NUL, where SQLite ends a text, and
    what is no valid Unicode become U+FFFD.
    """
    if text.isascii() and "\x00" not in text:
        return text.lower()
    folded = text.casefold().replace("\x00", "\ufffd")
    return folded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def phrase(text: str) -> str:
    """Return the full-text query that means ``text`` itself, whatever is in it."""
    return '"' + text.replace('"', '""') + '"'

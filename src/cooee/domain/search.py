"""How people are found by name: the same folding for what is stored and for what is asked."""

import re
import unicodedata

_WORD_START = re.compile(r"(?<!\w)\w")
_SPACES = re.compile(r"\s+")
_INVISIBLE = frozenset({"Cc", "Cs", "Cn"})
_MAX_TERMS = 16
_MAX_TERM = 64


def fold(text: str) -> str:
    """Return ``text`` as it is compared: compatibility forms and case folded, no control characters, single spaces."""
    visible = "".join(char for char in _SPACES.sub(" ", text) if unicodedata.category(char) not in _INVISIBLE)
    folded = unicodedata.normalize("NFKC", visible)
    for _ in range(2):  # the first round may compose what the second folds further
        folded = unicodedata.normalize("NFKC", folded.casefold())
    return _SPACES.sub(" ", folded).strip()


def search_terms(user_id: str, display_name: str) -> frozenset[str]:
    """Return the texts of which a query must be a prefix: the userId, and the display name from each word on.

    At most 16 words and 64 characters of each are looked at.
    """
    name = fold(display_name)
    starts = [match.start() for match in _WORD_START.finditer(name)][:_MAX_TERMS]
    return frozenset({user_id, *(name[start : start + _MAX_TERM] for start in starts)})


def search_prefix(query: str) -> str:
    """Return the folded query; empty when nothing is left of it, and then it matches nobody."""
    return fold(query)[:_MAX_TERM]

"""Whose certificates a client trusts: the system's authorities, and one more that is named."""

import os
import ssl
from pathlib import Path

from cooee.client.errors import ConnectionFailed

VARIABLE = "COOEE_CA_FILE"


def trusted(ca_file: str | Path | None = None) -> ssl.SSLContext | bool:
    """Return what to check certificates with: those of ``ca_file`` (PEM; else `VARIABLE` names it) beside the system's.

    True, the default of aiohttp, when none is named.

    Raises:
        ConnectionFailed: the file cannot be read, or holds no certificate.
    """
    named = ca_file or os.environ.get(VARIABLE)
    if not named:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(Path(named).expanduser())
    except ssl.SSLError:
        raise ConnectionFailed(f"{named} holds no certificate in PEM; name the authority's ({VARIABLE})") from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise ConnectionFailed(f"the authority's file {named} cannot be read: {reason} ({VARIABLE})") from None
    return context

"""Why a server cannot be reached, in words for people: what is wrong, and what to look at."""

from typing import NamedTuple

import aiohttp


class Reason(NamedTuple):
    """What is wrong, and what to do about it."""

    cause: str
    advice: str = "is the server running?"

    def __str__(self) -> str:
        return f"{self.cause}; {self.advice}"


def reason_of(problem: Exception) -> Reason:
    """Return why a request got no answer, given what the HTTP library or the system says."""
    match problem:
        case TimeoutError():
            return Reason("no answer in time", "try again")
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(problem.certificate_error, "verify_message", "") or str(problem.certificate_error)
            return Reason(
                f"its certificate is not trusted here: {why}",
                "if it is a server of your own, name its authority's certificate by --ca-file or COOEE_CA_FILE",
            )
        case aiohttp.ClientSSLError():
            return Reason("it does not speak TLS there", "try http:// instead of https://")
        case aiohttp.ClientConnectorDNSError():
            return Reason(f"there is no host {problem.host}", "check the URL, and the network")
        case aiohttp.ClientConnectorError():
            return Reason(f"no connection to {problem.host}:{problem.port}")
        case aiohttp.ClientResponseError():
            return Reason("what answers is no web server", "check the URL; https:// instead of http://, perhaps")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionResetError():
            return Reason("the connection broke off", "try again")
    return Reason(str(problem) or type(problem).__name__)

"""The page about the HTTP API, made from the OpenAPI document that the server itself serves."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from scripts.site.schemas import Words, table

_HEAD = """# HTTP API

Every request that the server answers, made from the same table of routes that the server runs. The machine-readable
form is an OpenAPI 3.1 document at `GET /v1/openapi.json` of every server. [The protocol](../protocol.md#11-http-api)
says what the requests mean together; this page says what each one takes and gives.

{description}

Where a token is asked for, send `Authorization: Bearer …` with the token of a [log-in](#{log_in}). Every refusal is an
[ErrorBody](#http-errorbody) with a code that [the protocol](../protocol.md#10-errors-and-closing) explains. Every
request may be refused with {usual}; what else it may be refused with stands with it.
"""


def http_page(document: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """Return the page as Markdown. ``sections`` are the links to numbered sections of the protocol."""
    words = Words(document["components"]["schemas"], "http", sections)
    usual = _usual(document)
    told = ", ".join(f"`{code}`" for code in sorted(usual))
    parts = [_HEAD.format(description=document["info"]["description"], log_in=_anchor("logIn"), usual=told)]
    for tag in document["tags"]:
        parts.append(f"## {str(tag['name']).capitalize()}\n")
        parts += [_operation(words, usual, *each) for each in _operations(document, tag["name"])]
    parts.append("## Bodies\n\nWhat requests and answers are made of.\n")
    parts += [words.section(name) for name in sorted(document["components"]["schemas"])]
    return "\n".join(parts)


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _operation(words: Words, usual: AbstractSet[str], method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"({_anchor(operation['operationId'])})=\n### `{method} {path}`"]
    token = " Asks for a token." if operation["security"] else ""
    parts.append(words.prose(operation["summary"]) + token)
    if "description" in operation:
        parts.append(words.prose(operation["description"]))
    if "parameters" in operation:
        rows = [_parameter(words, one) for one in operation["parameters"]]
        parts.append(table(("parameter", "in", "type", "says"), rows))
    if "requestBody" in operation:
        parts.append(f"Takes {_bodies(words, operation['requestBody'])}.")
    parts.append(table(("answer", "is"), [*_answers(words, operation), *_refusals(operation, usual)]))
    return "\n\n".join(parts) + "\n"


def _parameter(words: Words, one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    default = one["schema"].get("default")
    missing = "" if default in (None, "") else f" Without it: `{default}`."
    says = words.prose(one.get("description", "")) + missing
    return f"`{one['name']}`", one["in"], words.kind(one["schema"]), says.strip()


def _answers(words: Words, operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for status, answer in operation["responses"].items():
        if not _is_refusal(answer):
            kinds = _bodies(words, answer)
            says = words.prose(answer["description"])
            yield status, kinds if kinds and says == "Done." else f"{says} {kinds}".strip()


def _bodies(words: Words, message: Mapping[str, Any]) -> str:
    """Return what a request or an answer carries; another form than JSON is named."""
    kinds = []
    for media_type, content in message.get("content", {}).items():
        kind = words.kind(content.get("schema", {}))
        kinds.append(kind if media_type == "application/json" else f"{kind} as `{media_type}`")
    return " or ".join(kinds)


def _refusals(operation: Mapping[str, Any], usual: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    for status, answer in operation["responses"].items():
        codes = [f"`{code}`" for code in _codes(answer) if code not in usual]
        if codes:
            yield status, ", ".join(codes)


def _usual(document: Mapping[str, Any]) -> AbstractSet[str]:
    """Return the codes that every request may be refused with."""
    told = [
        {code for answer in operation["responses"].values() for code in _codes(answer)}
        for item in document["paths"].values()
        for operation in item.values()
    ]
    return set.intersection(*told)


def _codes(answer: Mapping[str, Any]) -> list[str]:
    return str(answer["description"]).split(" or ") if _is_refusal(answer) else []


def _is_refusal(answer: Mapping[str, Any]) -> bool:
    bodies = [each["schema"].get("$ref", "") for each in answer.get("content", {}).values()]
    return bodies == ["#/components/schemas/ErrorBody"]


def _anchor(operation_id: str) -> str:
    return f"http-operation-{operation_id.lower()}"

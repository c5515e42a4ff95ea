"""JSON schemas, as msgspec makes them, in words and tables."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
_LONGEST_LIST = 12
_LARGEST = 2**53 - 1  # what every reader of JSON can count to; to say so each time helps nobody


class Words:
    """Says what schemas allow. ``schemas`` are the named ones; ``prefix`` keeps their anchors apart on the site."""

    def __init__(self, schemas: Mapping[str, Schema], prefix: str, sections: Mapping[str, str]) -> None:
        self._schemas = schemas
        self._prefix = prefix
        self._sections = sections

    def section(self, name: str, *, heading: str = "###") -> str:
        """Return a named schema's own section: what it is, and its fields."""
        schema = self._schemas[name]
        title = str(schema.get("title", name))
        parts = [f"({self._anchor(name)})=", f"{heading} {title}", "", self.prose(str(schema.get("description", "")))]
        return "\n".join([*parts, "", self._body(schema), ""])

    def prose(self, text: str) -> str:
        """Return a docstring's words as Markdown, with links where it names a section of the protocol."""
        text = " ".join(text.replace("``", "`").split())
        return re.sub(r"§(\d+)(?!\d*\.)", lambda match: self._sections.get(match[1], match[0]), text)

    def kind(self, schema: Schema) -> str:
        """Return a schema in a few words, with links to the named ones."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return f"[{self._schemas[name].get('title', name)}](#{self._anchor(name)})"
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self.kind(each) for each in schema["anyOf"]))
        if "enum" in schema:
            return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"][:_LONGEST_LIST])
        if schema.get("type") == "array":
            return f"list{_bounds(schema, 'Items')} of {self.kind(schema.get('items', {}))}"
        if schema.get("type") == "object" and "additionalProperties" in schema:
            return f"object of {self.kind(schema['additionalProperties'] or {})}"
        return f"{schema.get('type', 'any JSON')}{_bounds(schema, 'Length')}"

    def table(self, schema: Schema) -> str:
        """Return the fields of an object as a table."""
        required = schema.get("required", ())
        rows = []
        for name, field in schema["properties"].items():
            default = f"`{json.dumps(field['default'])}`" if "default" in field else "absent"
            missing = "**required**" if name in required else default
            rows.append((f"`{name}`", self.kind(field), missing, self.prose(_described(field))))
        return table(("field", "type", "when missing", "says"), rows)

    def _body(self, schema: Schema) -> str:
        if schema.get("properties"):
            return self.table(schema)
        return "It has no fields." if schema.get("type") == "object" else f"{self.kind(schema)}."

    def _anchor(self, name: str) -> str:
        return f"{self._prefix}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"


def protocol_sections(protocol: str, page: str) -> dict[str, str]:
    """Return number → link for each numbered heading of PROTOCOL.md."""
    found = {}
    for heading in re.findall(r"^## (\d+\. .+)$", protocol, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).strip().replace(" ", "-")
        number = heading.partition(".")[0]
        found[number] = f"[§{number}]({page}#{slug})"
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, without the columns in which no row says anything."""
    told = [at for at in range(len(head)) if any(row[at] for row in rows)]
    lines = [[each[at].replace("|", "\\|") for at in told] for each in (head, *rows)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(told), *shown[1:]])


def _described(field: Schema) -> str:
    if "description" in field:
        return str(field["description"])
    return next((str(each["description"]) for each in field.get("anyOf", ()) if "description" in each), "")


def _bounds(schema: Schema, what: str) -> str:
    unit = {"Length": " characters", "Items": " items,"}[what]
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if schema.get("type") in ("integer", "number"):
        low, high, unit = schema.get("minimum"), schema.get("maximum"), ""
    if high is not None and high < _LARGEST:
        return f", {low or 0:,} to {high:,}{unit}"
    return f", at least {low:,}{unit}" if low else ""

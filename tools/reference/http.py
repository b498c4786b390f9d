"""Every call over HTTP: credential, scope, parameters, body, reply, errors. From the table of routes."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from tools.reference import markdown
from tools.reference.calls import CALLS, anchor
from unbroken.install_key import PROOF_HEADER
from unbroken.server import parameters
from unbroken.server.problems import STATUS
from unbroken.server.route import Credential

if TYPE_CHECKING:
    from unbroken.server.route import Query, Route

INTRO = """\
One row of the table of routes each; the platform's own OpenAPI document at `/schema/openapi.json` comes from the same
rows. Conventions, credentials, limits and lab mode are in [The HTTP contract](http-api.md)."""

_TITLES = {"sdk": "Device API", "lab": "Lab", "health": "Health", "metrics": "Health"}
_TYPES = {
    "day": "`YYYY-MM-DD`", "instant": "ISO 8601 with offset", "integer": "integer", "text": "text",
    "flag": "`true` or `false`",
}  # fmt: skip


def page() -> str:
    """docs/reference/http.md."""
    parts = [markdown.heading("Calls", "the tables of routes in `src/unbroken/server/`", INTRO), _overview()]
    for title, routes in groupby(CALLS, key=_title):
        parts.append(f"## {title}\n")
        parts += map(_call, routes)
    return "\n".join(parts)


def _overview() -> str:
    rows = [(f"[`{route.name}`](#{anchor(route)})", route.credential.value, _scope(route), route.summary)
            for route in CALLS]  # fmt: skip
    return markdown.table(("call", "credential", "scope", "what"), rows)


def _title(route: Route) -> str:
    return _TITLES.get(route.path.split("/")[1], "Backend API")


def _scope(route: Route) -> str:
    return f"`{route.scope}`" if route.scope else ""


def _call(route: Route) -> str:
    parts = [f"### `{route.name}`\n", f"{route.summary}\n", _facts(route)]
    queries = list(parameters.rows(route))
    if queries:
        parts.append(markdown.table(("query", "type", "required", "meaning"), map(_query, queries)))
    if route.request is not None:
        parts += ["Body:\n", _fields(route.request), _example(route.example_request)]
    parts.append(_reply(route))
    if route.errors:
        parts.append("Errors of its own: " + ", ".join(map(_error, dict.fromkeys(route.errors))) + ".\n")
    return "\n".join(part for part in parts if part)


def _facts(route: Route) -> str:
    scope = f", scope {_scope(route)}" if route.scope else ""
    lines = [f"- Credential: {route.credential.value}{scope}."]
    if route.keyed:
        form = "a UUID" if route.key_is_uuid else "1 to 255 visible characters"
        lines.append(f"- Takes `Idempotency-Key`: {form}.")
    if route.credential is Credential.INSTALL_CREDENTIAL:
        lines.append(f"- Takes `{PROOF_HEADER}`: a signature by the install's key, where it registered with one.")
    if route.has_dry_run:
        lines.append("- Takes `dry_run=true`.")
    if route.lab:
        lines.append("- In lab mode only.")
    return "\n".join(lines) + "\n"


def _query(query: Query) -> tuple[str, str, str, str]:
    kind = f"{query.minimum} to {query.maximum}" if query.type == "integer" else _TYPES[query.type]
    if query.choices:
        kind = ", ".join(f"`{choice}`" for choice in query.choices)
    return (f"`{query.name}`", kind, "yes" if query.required else "", query.summary)


def _fields(kind: Any) -> str:
    """The members of a body, those of its own objects too, each object a table."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    if "$ref" not in schema:
        return f"An object of {_type(schema.get('additionalProperties', {}))} by name.\n"
    return "\n".join(_object(name, component) for name, component in _reachable(schema["$ref"], components))


def _reachable(name: str, components: dict[str, Any]) -> list[tuple[str, Any]]:
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        next_ = waiting.pop(0)
        if next_ not in found:
            found[next_] = components[next_]
            waiting += _references(components[next_])
    return list(found.items())


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [name for key, inner in schema.items() if key != "discriminator" for name in _references(inner)]
    return [name for inner in schema for name in _references(inner)] if isinstance(schema, list) else []


def _object(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [(f"`{member}`", _type(inner), "yes" if member in required else "")
            for member, inner in schema["properties"].items()]  # fmt: skip
    about = " ".join(str(schema.get("description", "")).split())
    return f"{name}: {about}\n\n{markdown.table(('member', 'type', 'required'), rows)}"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": name}:
            return f"{name}"
        case {"anyOf": options}:
            return " or ".join(_type(option) for option in options)
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": kind}:
            return f"{kind}{_limits(schema)}"
        case _:
            return "any"


def _limits(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "from {}", "maximum": "to {}", "exclusiveMinimum": "above {}", "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
    }  # fmt: skip
    said = [form.format(schema[key]) for key, form in words.items() if key in schema]
    return f" ({', '.join(said)})" if said else ""


def _reply(route: Route) -> str:
    if route.reply is None:
        return f"Answers {route.status} without a body.\n"
    if route.reply is str:
        return f"Answers {route.status} as text.\n"
    return "\n".join(filter(None, [f"Answers {route.status}:\n", _example(route.example_reply)]))


def _example(value: Any) -> str:
    return "" if value is None else markdown.example(msgspec.to_builtins(value))


def _error(leaf: Any) -> str:
    return f"{STATUS[leaf]} [`{leaf.code}`](errors.md#{leaf.code.lower()})"

"""An example of a schema, for calls whose row gives none of its own: good enough to try, and valid."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

_DEPTH: Final = 8
_BY_NAME: Final = {
    "id": "69236a2e5f3c1b0a9d8e7f60",
    "at": "2026-11-23T21:12:54.000+00:00",
    "state": "active",
    "ref": "8b5d9c0e-3f57-4c57-9d5e-0a6c1f4b7e21",
    "sentence": "This install is active: it is the phone that was installed last.",
    "token": "unb_user_...",
    "external_id": "account-4711",
    "payload_id": "0193f7a2-5c1e-7b3a-9d24-6f0e8a1b2c3d",
}
_BY_ENDING: Final = {
    "_id": "69236a2e5f3c1b0a9d8e7f60",
    "_at": "2026-11-23T21:12:54.000+00:00",
    "_credential": "unb_inst_...",
    "_code": "unb_code_...",
    "_ticket": "unb_tick_...",
}


def example_of(schema: Json, components: Json, name: str = "", depth: int = 0) -> Any:
    """A value that is valid under `schema`.

    `components` is what `$ref` names; `name` that of the member this is for, which says more than its type.
    """
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, name, depth)
    for key in ("const", "default", "example"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components, name, depth)
    return _by_type(schema, components, name, depth)


def _by_type(schema: Json, components: Json, name: str, depth: int) -> Any:
    kind = schema.get("type", "")
    if kind == "object":
        return _object(schema, components, depth)
    if kind == "array":
        return [example_of(schema["items"], components, name, depth + 1)] if _has_items(schema, depth) else []
    if kind == "string":
        return _text(name)
    plain = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": True, "null": None}
    return plain.get(kind, {})


def _has_items(schema: Json, depth: int) -> bool:
    return bool(schema.get("items")) and depth < _DEPTH


def _object(schema: Json, components: Json, depth: int) -> Json:
    if depth > _DEPTH:
        return {}
    required = schema.get("required", [])
    members = {name: inner for name, inner in schema.get("properties", {}).items() if name in required}
    return {name: example_of(inner, components, name, depth + 1) for name, inner in members.items()}


def _text(name: str) -> str:
    if name in _BY_NAME:
        return _BY_NAME[name]
    return next((value for ending, value in _BY_ENDING.items() if name.endswith(ending)), "text")

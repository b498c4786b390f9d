"""OpenAPI 3.1 from the table of routes: nothing is described twice."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from unbroken import wire
from unbroken.domain import errors
from unbroken.install_key import PROOF_HEADER
from unbroken.server import parameters, problems
from unbroken.server.authenticate import challenge
from unbroken.server.example import example_of
from unbroken.server.route import Credential

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.errors import Refusal
    from unbroken.server.route import Query, Route

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_EXAMPLE_REF: Final = "8b5d9c0e-3f57-4c57-9d5e-0a6c1f4b7e21"
_ID: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_EXAMPLE_ID: Final = "69236a2e5f3c1b0a9d8e7f60"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_SECURITY: Final[dict[Credential, list[Json]]] = {
    Credential.NONE: [],
    Credential.APP_SECRET_OR_CODE: [{"appSecret": []}, {}],
    Credential.INSTALL_CREDENTIAL: [{"installCredential": []}],
    Credential.USER_TOKEN: [{"userToken": []}],
    Credential.API_KEY: [{"apiKey": []}],
    Credential.KEY_OR_OWN_TOKEN: [{"apiKey": []}, {"userToken": []}],
}
_SCHEMES: Final[Json] = {
    "appSecret": {"type": "http", "scheme": "basic", "description": "App id and app secret."},
    "installCredential": {"type": "http", "scheme": "bearer", "description": "`unb_inst_...`, held by the SDK."},
    "userToken": {"type": "http", "scheme": "bearer", "description": "`unb_user_...`, held by the SDK and the app."},
    "apiKey": {"type": "http", "scheme": "bearer", "description": "`unb_key_...`, held by the customer's server."},
}
_QUERY: Final[dict[str, Json]] = {
    "day": {"type": "string", "format": "date"},
    "instant": {"type": "string", "format": "date-time"},
    "text": {"type": "string", "maxLength": 1_000},
    "flag": {"type": "boolean"},
}
_QUERY_EXAMPLES: Final[dict[str, Any]] = {
    "day": "2026-11-23",
    "instant": "2026-11-23T21:12:54.000+00:00",
    "flag": False,
}
_EXAMPLE_TEXTS: Final = {"external_id": "account-4711"}  # a cursor has none: it is opaque, and of one list
_EXTERNAL_ID: Final[Json] = {
    "description": "The customer's own id of the person; placeholders such as `null`, `guest` or `0` are refused.",
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^[A-Za-z0-9._@+:/-]*[1-9A-Za-z][A-Za-z0-9._@+:/-]*$",
    "not": {"pattern": "^([Nn][Uu][Ll][Ll]|[Uu]ndefined|[Nn]one|[Aa]nonymous|[Gg]uest|[Uu]nknown|-1)$"},
}
_REFINED: Final[dict[tuple[str, str], Json]] = {
    ("Link", "external_id"): _EXTERNAL_ID,
    ("MintCode", "external_id"): _EXTERNAL_ID,
    ("Payload", "payload_id"): {"format": "uuid"},
    ("Payload", "items"): {"maxItems": wire.ITEMS_MAX},
    ("Upload", "payloads"): {"maxItems": wire.PAYLOADS_MAX},
}
"""What the flow checks beyond the types of wire.py, by type and member."""


def document(routes: Iterable[Route], *, lab: bool) -> Json:
    """The whole description of the API that these rows are."""
    shown = [route for route in routes if not route.hidden]
    schemas, components = _schemas(shown)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in shown:
        paths[route.path][route.method.lower()] = _operation(route, schemas, components, lab=lab)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Unbroken" + (" (lab)" if lab else ""),
            "version": metadata.version("unbroken"),
            "summary": "User linking: one person, one unbroken timeline.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[int, Json], Json]:
    """The schema of every request and reply type, by the type's identity, and the components they refer to."""
    types: list[Any] = [wire.Problem]
    for route in routes:
        types += [kind for kind in (route.request, route.reply) if kind is not None]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    for (name, member), refined in _REFINED.items():
        if name in components:
            components[name]["properties"][member] |= refined
            components[name]["required"] = sorted({*components[name].get("required", []), member})
    return {id(kind): schema for kind, schema in zip(types, found, strict=True)}, components


def _operation(route: Route, schemas: dict[int, Json], components: Json, *, lab: bool) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "summary": route.summary,
        "description": _description(route),
        "security": _security(route),
        "parameters": _parameters(route, lab=lab),
        "responses": _responses(route, schemas, components),
    }
    if route.request is not None:
        schema = schemas[id(route.request)]
        example = example_of(schema, components) if route.example_request is None else route.example_request
        media = {"schema": schema, "example": msgspec.to_builtins(example)}
        operation["requestBody"] = {"required": not route.has_optional_body, "content": {"application/json": media}}
    return operation


def _security(route: Route) -> list[Json]:
    """Who may call; of an API key the scope is named, as roles are since OpenAPI 3.1."""
    scopes = [str(route.scope)] if route.scope else []
    return [{kind: scopes if kind == "apiKey" else [] for kind in row} for row in _SECURITY[route.credential]]


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.path)
    return "_".join([route.method.lower(), *words])


def _tag(route: Route) -> str:
    first = route.path.split("/")[1]
    return {
        "sdk": "Device API",
        "lab": "Lab",
        ".well-known": "Health",
        "health": "Health",
        "metrics": "Health",
        "schema": "Schema",
    }.get(first, "Backend API")


def _description(route: Route) -> str:
    scope = f" with scope `{route.scope}`" if route.scope else ""
    return f"Credential: {route.credential.value}{scope}."


def _parameters(route: Route, *, lab: bool) -> list[Json]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _ID if name.endswith("_id") else {"type": "string"},
         "example": _EXAMPLE_ID}
        for name in _PARAMETER.findall(route.path)
    ]  # fmt: skip
    headers = []
    if route.keyed:
        headers.append(_header("Idempotency-Key", _key_schema(route), _EXAMPLE_REF, "Makes a repeat harmless."))
    if route.credential is Credential.INSTALL_CREDENTIAL:
        meaning = "A signature by the install's key, where it registered with one."
        headers.append(_header(PROOF_HEADER, {"type": "string"}, "c2lnbmF0dXJl", meaning))
    if lab:
        schema = {"type": "integer", "minimum": 0, "maximum": wire.LATEST_MS}
        headers.append(_header("Lab-Time", schema, 1795468374000, "Moves the lab's clock forward, epoch ms."))
    return [*path, *map(_query, parameters.rows(route)), *headers]


def _key_schema(route: Route) -> Json:
    if route.key_is_uuid:
        return {"type": "string", "format": "uuid"}
    return {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}


def _header(name: str, schema: Json, example: Any, meaning: str) -> Json:
    return {"name": name, "in": "header", "required": False, "schema": schema, "example": example,
            "description": meaning}  # fmt: skip


def _query(query: Query) -> Json:
    if query.type == "integer":
        schema: Json = {"type": "integer", "minimum": query.minimum, "maximum": query.maximum}
        example: Any = query.minimum
    else:
        schema, example = dict(_QUERY[query.type]), _QUERY_EXAMPLES.get(query.type, _EXAMPLE_TEXTS.get(query.name))
    if query.choices:
        schema["enum"], example = list(query.choices), query.choices[0]
    described = {"name": query.name, "in": "query", "required": query.required, "description": query.summary}
    return {**described, "schema": schema, **({} if example is None else {"example": example})}


def _responses(route: Route, schemas: dict[int, Json], components: Json) -> Json:
    responses: Json = {str(route.status): _success(route, schemas, components)}
    by_status: defaultdict[int, list[type[Refusal]]] = defaultdict(list)
    for leaf in dict.fromkeys((*generic_errors(route), *route.errors)):
        by_status[problems.STATUS[leaf]].append(leaf)
    for status, leaves in sorted(by_status.items()):
        responses[str(status)] = _error(route, status, leaves)
    return responses


def _success(route: Route, schemas: dict[int, Json], components: Json) -> Json:
    response: Json = {"description": route.summary, "headers": {"X-Request-Id": _header_of("uuid")}}
    for name, meaning in route.reply_headers.items():
        response["headers"][name] = {"description": meaning, "schema": {"type": "string"}}
    if route.reply is not None:
        schema = schemas[id(route.reply)]
        example = example_of(schema, components) if route.example_reply is None else route.example_reply
        response["content"] = {route.reply_type: {"schema": schema, "example": msgspec.to_builtins(example)}}
    return response


def generic_errors(route: Route) -> list[type[Refusal]]:
    """What every call of this kind can meet, whatever it does."""
    found: list[type[Refusal]] = [errors.InvalidRequest, errors.TokenInUrl, errors.TooLarge]
    if route.credential is not Credential.NONE:
        found += [errors.Unauthenticated, errors.ForbiddenCredential, errors.AppDisabled]
    if route.scope is not None:
        found.append(errors.ForbiddenScope)
    if "{" in route.path:
        found.append(errors.NotFound)
    if route.request is not None:
        found.append(errors.UnsupportedMediaType)
    if route.keyed:
        found.append(errors.IdempotencyKeyReused)
    return [*found, errors.RateLimited, errors.MethodNotAllowed, errors.Internal, errors.Unavailable]


def _error(route: Route, status: int, leaves: list[type[Refusal]]) -> Json:
    headers = {"X-Request-Id": _header_of("uuid")}
    sample = leaves[0]()
    for name, _ in problems.headers_of(sample, challenge(route)):
        headers["WWW-Authenticate" if name == b"www-authenticate" else "Retry-After"] = _header_of("")
    if status == 405:
        headers["Allow"] = _header_of("")
    examples = {leaf.code: {"summary": leaf().message, "value": _problem(leaf)} for leaf in leaves}
    schema = {
        "allOf": [
            {"$ref": _REF.format(name="Problem")},
            {"type": "object", "properties": {"errorCode": {"enum": sorted({leaf.code for leaf in leaves})}}},
        ]
    }
    media = {"schema": schema, "examples": examples}
    return {
        "description": " ".join(dict.fromkeys(leaf().message for leaf in leaves)),
        "headers": headers,
        "content": {"application/json": media},
    }


def _header_of(format_: str) -> Json:
    return {"required": True, "schema": {"type": "string", **({"format": format_} if format_ else {})}}


def _problem(leaf: type[Refusal]) -> Json:
    return {"message": leaf().message, "errorCode": leaf.code, "ref": _EXAMPLE_REF}

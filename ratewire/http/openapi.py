"""The OpenAPI 3.1 document, from the endpoints."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib import metadata
from typing import Any, Final

import msgspec

from ratewire.http.endpoint import Endpoint, Nothing
from ratewire.http.problems import Problem

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")
_REFERENCE: Final = "#/components/schemas/{name}"

#: What any endpoint may answer instead.
_ALWAYS: Final = (400, 401, 403, 404, 409, 413, 422, 500, 503)


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document of these endpoints, ready to be encoded as JSON."""
    wanted: list[Any] = [Problem]
    for each in endpoints:
        told = None if each.media_types else each.answer
        wanted += [kind for kind in (each.body, told) if kind not in (Nothing, None)]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_REFERENCE)
    by_type = dict(zip(map(repr, wanted), schemas, strict=True))
    paths: dict[str, Any] = {}
    for each in endpoints:
        operations = paths.setdefault(each.path, {})
        operations[each.method.lower()] = _operation(each, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ratewire",
            "version": metadata.version("ratewire"),
            "description": "Prepaid rating and billing for internet service providers. Amounts are"
            " decimal texts in the unit of their currency, times are RFC 3339 in UTC, errors are"
            " problem documents (RFC 9457). A request with an Idempotency-Key is done once.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in endpoints)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "What is wrong",
                    "content": {"application/problem+json": {"schema": by_type[repr(Problem)]}},
                }
            },
        },
    }


def _operation(each: Endpoint, by_type: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(each.status).phrase}
    if each.media_types:
        octets = {"schema": {"type": "string", "format": "binary"}}
        answer["content"] = dict.fromkeys(each.media_types, octets)
    elif each.answer is not None:
        answer["content"] = {"application/json": {"schema": by_type[repr(each.answer)]}}
    name = each.path.removeprefix("/api/v1/").strip("/")
    operation: dict[str, Any] = {
        "operationId": f"{each.method.lower()}-{re.sub(r'[^a-z_]+', '-', name).strip('-')}",
        "summary": each.summary,
        "description": "Roles: " + ", ".join(sorted(each.roles)) + ".",
        "tags": [each.tag],
        "parameters": _parameters(each),
        "responses": {
            str(each.status): answer,
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in _ALWAYS},
        },
    }
    if each.body is not Nothing:
        operation["requestBody"] = {
            "required": not each.body_may_be_missing,
            "content": {"application/json": {"schema": by_type[repr(each.body)]}},
        }
    return operation


def _parameters(each: Endpoint) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": number if name in each.numbers else {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(each.path)
    ]
    if each.query is not Nothing:
        [schema], components = msgspec.json.schema_components([each.query])
        fields = components[schema["$ref"].rsplit("/", 1)[1]]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in fields.get("required", ()),
                "schema": _plain(about, components),
            }
            for name, about in fields["properties"].items()
        ]
    if each.changes:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Under the same key the request is done once.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        )
    if each.method in ("PATCH", "PUT"):
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "description": "The ETag that was read: refused if it has changed since.",
                "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$'},
            }
        )
    return parameters


def _plain(about: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """A query's field without references and null, which a query cannot say."""
    options = [
        components[each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
        for each in about.get("anyOf", [about])
    ]
    kept = [
        {
            key: value
            for key, value in each.items()
            if key not in ("title", "description", "default")
        }
        for each in options
        if each.get("type") != "null"
    ]
    return kept[0] if len(kept) == 1 else {"anyOf": kept}

"""Google's own description of its interfaces, as a judge of requests and of answers.

The discovery documents come with google-api-python-client. A request that they do not allow is refused as Google
refuses it; an answer that they do not describe fails the test, so that no field of the fake can be invented.
`fields` is applied as Google applies it: what was not asked for is not there.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from googleapiclient.discovery_cache import get_static_doc
from jsonschema import Draft202012Validator

DOCUMENTS = ("drive.v3", "sheets.v4", "gmail.v1", "chat.v1")
Mask = dict[str, Any]
"""Names of fields, each with the mask for what is in it; an empty one stands for everything."""


class BadRequestError(Exception):
    """What Google answers with 400."""


class Method:
    """One method of one interface."""

    def __init__(self, document: dict[str, Any], spec: dict[str, Any]) -> None:
        self.document = document
        self.id: str = spec["id"]
        self.http: str = spec["httpMethod"]
        self.scopes = frozenset(one.rpartition("/")[2] or one for one in spec.get("scopes", ()))
        self.parameters: dict[str, dict[str, Any]] = {**document["parameters"], **spec.get("parameters", {})}
        self.answer: str = spec.get("response", {}).get("$ref", "")
        self.request: str = spec.get("request", {}).get("$ref", "")
        self.media: bool = spec.get("supportsMediaDownload", False)
        self._path = re.compile(_expression("/" + document["servicePath"] + spec["path"], spec.get("parameters", {})))
        self.size = len(spec["path"])

    def match(self, http: str, path: str) -> dict[str, str] | None:
        """The parameters in a path, if it is this method's."""
        found = self._path.fullmatch(path) if http == self.http else None
        return None if found is None else {name.replace("__", "."): value for name, value in found.groupdict().items()}

    def read(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The parameters of a query in their types. Raises `BadRequestError` for what the document does not allow."""
        found: dict[str, Any] = {}
        for name, values in query.items():
            spec = self.parameters.get(name)
            if spec is None or spec.get("location") != "query":
                raise BadRequestError(f'Unknown name "{name}": Cannot bind query parameter.')
            if len(values) > 1 and not spec.get("repeated"):
                raise BadRequestError(f"Repeated parameter {name}")
            typed = [_typed(name, spec, value) for value in values]
            found[name] = typed if spec.get("repeated") else typed[0]
        return found

    def missing(self, given: dict[str, Any]) -> list[str]:
        """Parameters that are required and were not given."""
        return [name for name, spec in self.parameters.items() if spec.get("required") and name not in given]

    def check(self, answer: object) -> None:
        """Raises `AssertionError` for an answer that the document does not describe."""
        if not self.answer:
            assert answer is None, f"{self.id} answers with nothing"
            return
        validator = _validator(self.document["id"], self.answer)
        if not fits(answer, validator.schema, validator.schema["$defs"]):
            error = next(validator.iter_errors(answer))
            raise AssertionError(f"{self.id} would never answer this: {error.json_path}: {error.message}")

    def check_request(self, body: object) -> None:
        """Raises `BadRequestError` for a body that the document does not describe; nothing where null may stand."""
        if not self.request:
            if body is not None:
                raise BadRequestError("no body is expected")
            return
        validator = _validator(self.document["id"], self.request)
        if not fits(_without_nulls(body), validator.schema, validator.schema["$defs"]):
            raise BadRequestError("Invalid JSON payload received.")

    def mask(self, fields: str) -> Mask:
        """The mask that `fields` stands for. Raises `BadRequestError` for a field that there is not."""
        mask = parse_mask(fields)
        self._known(mask, {"$ref": self.answer}, "")
        return mask

    def _known(self, mask: Mask, schema: dict[str, Any], path: str) -> None:
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        if schema.get("type") == "array":
            self._known(mask, schema["items"], path)
            return
        for name, inner in mask.items():
            known = schema.get("properties", {}).get(name)
            if name != "*" and known is None:
                raise BadRequestError(f"Invalid field selection {path}{name}")
            if inner and known is not None:
                self._known(inner, known, f"{path}{name}.")


def _without_nulls(body: Any) -> Any:
    """A body without the fields that it clears."""
    if isinstance(body, dict):
        return {name: _without_nulls(value) for name, value in body.items() if value is not None}
    return [_without_nulls(one) for one in body] if isinstance(body, list) else body


def _expression(path: str, parameters: dict[str, dict[str, Any]]) -> str:
    out = ""
    for piece in re.split(r"(\{\+?\w+\})", path):
        name = piece.strip("{+}")
        if not piece.startswith("{"):
            out += re.escape(piece)
            continue
        pattern = parameters[name].get("pattern", "^[^/:]+$").strip("^$")
        out += f"(?P<{name}>{pattern})"
    return out


def _typed(name: str, spec: dict[str, Any], value: str) -> Any:
    kind = spec["type"]
    if kind == "boolean":
        if value not in ("true", "false"):
            raise BadRequestError(f"Invalid boolean value: '{value}' for {name}")
        return value == "true"
    if kind == "integer":
        if not re.fullmatch(r"-?\d+", value):
            raise BadRequestError(f"Invalid value '{value}' for {name}")
        number = int(value)
        if number < int(spec.get("minimum", number)) or number > int(spec.get("maximum", number)):
            raise BadRequestError(f"Invalid value '{value}'. Values must be within the range of {name}")
        return number
    if "enum" in spec and value not in spec["enum"]:
        raise BadRequestError(f"Invalid value '{value}' for {name}")
    return value


@lru_cache(1)
def methods() -> list[Method]:
    """All methods of all four interfaces."""
    found: list[Method] = []
    for name in DOCUMENTS:
        document = json.loads(get_static_doc(*name.split(".")))

        def walk(resource: dict[str, Any], document: dict[str, Any] = document) -> None:
            found.extend(Method(document, spec) for spec in resource.get("methods", {}).values())
            for inner in resource.get("resources", {}).values():
                walk(inner)

        walk(document)
    return sorted(found, key=lambda method: -method.size)


def find(http: str, path: str) -> tuple[Method, dict[str, str]] | None:
    """The method that a request asks for, and the parameters in its path."""
    for method in methods():
        given = method.match(http, path)
        if given is not None:
            return method, given
    return None


@lru_cache(64)
def _validator(document: str, ref: str) -> Draft202012Validator:
    spec = next(method.document for method in methods() if method.document["id"] == document)
    definitions = {name: json_schema(schema) for name, schema in spec["schemas"].items()}
    return Draft202012Validator({"$ref": f"#/$defs/{ref}", "$defs": definitions})


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of a discovery document as JSON Schema: closed, with references and the formats that are strings."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type")
    if kind == "any" or kind is None:
        return {}
    out: dict[str, Any] = {"type": kind}
    if "enum" in schema:
        out["enum"] = schema["enum"]
    if kind == "string" and schema.get("format") in ("int64", "uint64"):
        out["pattern"] = r"^-?\d+$"
    if kind == "string" and schema.get("format") in ("date-time", "google-datetime"):
        out["pattern"] = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"
    if kind == "array":
        out["items"] = json_schema(schema["items"])
    if kind == "object":
        out["properties"] = {name: json_schema(inner) for name, inner in schema.get("properties", {}).items()}
        inner = schema.get("additionalProperties")
        out["additionalProperties"] = json_schema(inner) if inner else False
    return out


_KINDS: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def fits(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Whether a value keeps to such a schema: what jsonschema says, a hundred times faster.

    `test_google_server.py` holds the two together.
    """
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type")
    if kind is None:
        return True
    if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "array":
        return all(fits(one, schema["items"], definitions) for one in value)
    if kind == "object":
        known, others = schema["properties"], schema["additionalProperties"]
        return all(
            fits(one, known[name], definitions) if name in known else others and fits(one, others, definitions)
            for name, one in value.items()
        )
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    return "enum" not in schema or value in schema["enum"]


def parse_mask(fields: str) -> Mask:
    """`a,b(c,d/e)` as a tree (https://developers.google.com/workspace/drive/api/guides/fields-parameter)."""
    tokens = re.findall(r"[\w*]+|[(),./]", fields)
    if "".join(tokens) != fields:
        raise BadRequestError(f"Invalid field selection {fields}")
    mask, rest = _mask(tokens)
    if rest:
        raise BadRequestError(f"Invalid field selection {fields}")
    return mask


def _mask(tokens: list[str]) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while tokens:
        node = mask
        name, *tokens = tokens
        while tokens and tokens[0] in "./":
            node = node.setdefault(name, {})
            _, name, *tokens = tokens
        inner: Mask = {}
        if tokens and tokens[0] == "(":
            inner, tokens = _mask(tokens[1:])
            if not tokens or tokens[0] != ")":
                raise BadRequestError("Invalid field selection: )")
            tokens = tokens[1:]
        node.setdefault(name, {}).update(inner)
        if not tokens or tokens[0] != ",":
            break
        tokens = tokens[1:]
    return mask, tokens


def masked(answer: Any, mask: Mask) -> Any:
    """What of an answer was asked for."""
    if not mask or "*" in mask:
        return answer
    if isinstance(answer, list):
        return [masked(one, mask) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: masked(value, mask[name]) for name, value in answer.items() if name in mask}

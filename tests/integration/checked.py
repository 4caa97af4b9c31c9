"""A client for tests that holds every answer to the OpenAPI document of the gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from openapi_schema_validator import OAS31Validator


class Checked:
    """An HTTP client that holds every answer to the document that the gateway publishes."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.document = http.get("/v1/openapi.json").json()
        self.seen: set[tuple[str, str, str]] = set()

    def __call__(
        self, method: str, template: str, *, status: int, json: Any = None, params: Any = None, **path: str
    ) -> Any:
        raw = template
        for name, value in path.items():
            raw = raw.replace(f"{{{name}}}", quote(value, safe=""))
        answer = self.http.request(method, raw, json=json, params=params)
        assert answer.status_code == status, answer.text
        assert answer.headers["x-request-id"]
        operation = self.document["paths"][template][method.lower()]
        described = operation["responses"].get(str(status)) or operation["responses"][f"{status // 100}XX"]
        self.seen.add((method, template, str(status)))
        if "content" not in described:
            assert answer.content == b"" or template in ("/metrics", "/v1/openapi.json")
            return None
        schema = described["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": self.document["components"]}).validate(answer.json())
        return answer.json()

    def events(self, template: str, most: int = 1_000, **path: str) -> list[Any]:
        """The events of a stream until it ends, or so many; each held to the document."""
        raw = template
        for name, value in path.items():
            raw = raw.replace(f"{{{name}}}", quote(value, safe=""))
        schema = self.document["paths"][template]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
        self.seen.add(("GET", template, "200"))
        found: list[Any] = []
        with self.http.stream("GET", raw) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["x-request-id"]
            for line in answer.iter_lines():
                if line.startswith("data: {") and line != "data: {}":
                    found.append(msgspec.json.decode(line.removeprefix("data: ")))
                    OAS31Validator({**schema, "components": self.document["components"]}).validate(found[-1])
                if line == "event: end" or len(found) >= most:
                    break
        return found

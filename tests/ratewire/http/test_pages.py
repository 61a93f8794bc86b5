"""The pages show the document, and load nothing from elsewhere."""

import re

from ratewire.http.endpoints import ENDPOINTS
from tests.ratewire.http.conftest import Client


async def test_the_pages_load_only_from_here(client: Client) -> None:
    for page in ("/docs", "/redoc"):
        async with client.get(page) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            text = await answer.text()
        loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert loaded
        for each in loaded:
            if each.startswith("data:"):
                continue
            async with client.get(each) as asset:
                assert asset.status == 200, each
                assert len(await asset.read()) > 10_000
        assert '"/openapi.json"' in text
    async with client.get("/docs/assets/../app.py") as answer:
        assert answer.status == 404
    async with client.get("/docs/assets/README.md") as answer:
        assert answer.status == 404


async def test_the_document_is_there_without_a_token(client: Client) -> None:
    async with client.get("/openapi.json") as answer:
        assert answer.content_type == "application/json"
        paths = (await answer.json())["paths"]
    assert len(paths) == len({each.path for each in ENDPOINTS})

"""Files are whole, durable and private, or not there."""

from pathlib import Path

import pytest

from billing.documents.storage import FileStorage, Missing


async def test_what_is_put_comes_back(tmp_path: Path, storage: FileStorage) -> None:
    await storage.put("invoice/0/1.pdf", b"x")
    await storage.put("invoice/0/1.pdf", b"x")
    assert await storage.get("invoice/0/1.pdf") == b"x"
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Missing, match="restore it from a backup"):
        await storage.get("invoice/0/2.pdf")
    with pytest.raises(AssertionError):
        await storage.get("../secret")

"""Rows in a file: as they were, in bounded memory."""

import gzip
import hashlib
from pathlib import Path

import pytest

from billing.backup.rows import RowsFile, read_rows

MB = 1_000_000


async def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    parts = [b"1\ta\n", b"", b"2\t", b"b\n", bytes(range(256)) * 5_000]
    with RowsFile(tmp_path / "rows") as file:
        for part in parts:
            await file.write(part)
    octets = (tmp_path / "rows").read_bytes()
    assert (file.octets, file.sha256) == (len(octets), hashlib.sha256(octets).hexdigest())
    assert gzip.decompress(octets) == b"".join(parts)
    assert b"".join([rows async for rows in read_rows(tmp_path / "rows")]) == b"".join(parts)


async def test_a_little_that_stands_for_much_is_read_in_parts(tmp_path: Path) -> None:
    with RowsFile(tmp_path / "rows") as file:
        for _ in range(100):
            await file.write(bytes(MB))
    assert file.octets < MB
    sizes = [len(rows) async for rows in read_rows(tmp_path / "rows")]
    assert (sum(sizes), max(sizes) <= 1 << 20) == (100 * MB, True)


def test_a_file_that_is_there_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"")
    with pytest.raises(FileExistsError):
        RowsFile(tmp_path / "rows")

"""Sealing: what is sealed comes back for its purpose only, and keys can be rotated."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.sealing.keyring import KEY_OCTETS, Keyring, KeyringError, UnsealError

RING = Keyring([bytes(range(KEY_OCTETS))])
OTHER = Keyring([bytes(KEY_OCTETS)])


def key_line(octet: int) -> str:
    return base64.b64encode(bytes([octet]) * KEY_OCTETS).decode() + "\n"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_is_sealed_comes_back(plaintext: bytes, purpose: str) -> None:
    sealed = RING.seal(plaintext, purpose)
    assert RING.unseal(sealed, purpose) == plaintext
    assert len(plaintext) < 8 or plaintext not in sealed


@given(st.binary(max_size=40), st.data())
def test_what_was_touched_does_not(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(RING.seal(plaintext, "p"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnsealError):
        RING.unseal(bytes(sealed), "p")


@given(st.integers(0, 60))
def test_what_was_cut_off_does_not(length: int) -> None:
    sealed = RING.seal(b"secret", "p")
    with pytest.raises(UnsealError):
        RING.unseal(sealed[: min(length, len(sealed) - 1)], "p")


def test_it_is_sealed_for_one_purpose_and_with_one_key() -> None:
    sealed = RING.seal(b"secret", "nas secret: a")
    with pytest.raises(UnsealError, match="not sealed for 'nas secret: b'"):
        RING.unseal(sealed, "nas secret: b")
    with pytest.raises(UnsealError, match="which the key file lacks"):
        OTHER.unseal(sealed, "nas secret: a")


def test_sealed_values_name_their_key() -> None:
    [name] = RING.ids
    assert RING.seal(b"secret", "p")[1:9].hex() == name
    assert Keyring([bytes(range(KEY_OCTETS)), bytes(KEY_OCTETS)]).ids == RING.ids | OTHER.ids


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert RING.seal(b"secret", "p") != RING.seal(b"secret", "p")


def test_a_missing_file_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "secret.key"
    sealed = Keyring.load(path).seal(b"secret", "p")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keyring.load(path).unseal(sealed, "p") == b"secret"
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]


def test_two_new_files_hold_two_keys(tmp_path: Path) -> None:
    sealed = Keyring.load(tmp_path / "one").seal(b"secret", "p")
    with pytest.raises(UnsealError):
        Keyring.load(tmp_path / "two").unseal(sealed, "p")


def test_processes_that_create_it_at_once_get_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from billing.sealing.keyring import Keyring\n"
        "sys.stdin.read(); print(Keyring.load(Path(sys.argv[1])).seal(b'x', 'p').hex())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path / "key"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    ring = None
    for process in processes:
        assert process.stdout is not None
        with process.stdout as out:
            sealed = bytes.fromhex(out.read().decode())
        assert process.wait(30) == 0
        ring = ring or Keyring.load(tmp_path / "key")
        assert ring.unseal(sealed, "p") == b"x"


def test_a_rotated_file_seals_with_the_new_key_and_unseals_with_both(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "# a comment\n" + key_line(1))
    old = Keyring.load(path).seal(b"old", "p")
    write(path, key_line(2) + "\n# the one before\n" + key_line(1))
    ring = Keyring.load(path)
    new = ring.seal(b"new", "p")
    assert (ring.unseal(old, "p"), ring.unseal(new, "p")) == (b"old", b"new")
    assert ring.is_newest(new)
    assert not ring.is_newest(old)
    with pytest.raises(UnsealError):
        Keyring.load(write(path, key_line(1))).unseal(new, "p")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "key", key_line(1), mode)
    with pytest.raises(KeyringError, match=f"mode {mode:o}.*chmod 600"):
        Keyring.load(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "key", key_line(1))
    os.chown(path, 65534, 65534)
    with pytest.raises(KeyringError, match="belongs to the user 65534"):
        Keyring.load(path)


@pytest.mark.parametrize("line", ["x", "AAAA", key_line(1)[:-3], "é" * 40])
def test_a_line_that_is_no_key_is_refused_without_being_shown(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "key", f"# keys\n{key_line(1)}{line}\n")
    with pytest.raises(KeyringError, match=r"key:3: not a key") as caught:
        Keyring.load(path)
    assert line.strip() not in str(caught.value).removeprefix(f"key file {path}:3: ")[:20]


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="there is no key"):
        Keyring.load(write(tmp_path / "key", "# nothing\n\n"))


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    with pytest.raises(KeyringError, match="key file"):
        Keyring.load(tmp_path / "file" / "key")


def test_a_keyring_does_not_show_its_keys() -> None:
    assert "0001" not in repr(RING).lower()
    assert "AAEC" not in repr(RING)

"""What lies beside the ledger: the pepper, and the witness that tells an old copy.

The witness remembers which ledger this home has and how far it had come. It is written
after every commit and never runs ahead, so a ledger behind its witness is an older copy.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tupana_etl.errors import LedgerError

LEDGER = "ledger.sqlite"
PEPPER = "ledger.pepper"
WITNESS = "ledger.witness"
LOCK = ".ledger.lock"
MAKING = ".ledger.making"

TAG_PARAM = "tupana_etl_row"
"""Key of ``json_param`` under which the API keeps our row key."""


class Witness(msgspec.Struct, frozen=True):
    """The ledger this home is known to have."""

    ledger: str
    """Its uuid."""
    sequence: int
    """Commits it had at least."""
    pepper: str
    """Fingerprint of its pepper."""


@dataclass(frozen=True)
class Pepper:
    """A local secret that turns row keys into tags which nobody can enumerate back."""

    secret: bytes

    def __repr__(self) -> str:
        return f"Pepper(fingerprint={self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(b"tupana pepper\0" + self.secret).hexdigest()[:16]

    def tag(self, op: str, row_key: str) -> str:
        """What the API is told of a row key: the same for every generation of the row."""
        message = f"{op}\0{row_key}".encode()
        return "r1_" + hmac.new(self.secret, message, hashlib.sha256).hexdigest()[:40]


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file whole, readable by its owner alone, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fresh_pepper() -> Pepper:
    return Pepper(secrets.token_bytes(32))


def write_pepper(home: Path, pepper: Pepper) -> None:
    write_private(home / PEPPER, pepper.secret.hex().encode() + b"\n")


def read_pepper(home: Path) -> Pepper | None:
    """None when there is none. Raises LedgerError when the file holds something else."""
    try:
        text = (home / PEPPER).read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except FileNotFoundError:
        return None
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise LedgerError(
            f"{home / PEPPER} is damaged. Without it the API's documents cannot be matched to "
            "your rows, so nothing is sent. Put back the copy kept with the ledger's backup."
        )
    return Pepper(secret)


def read_witness(home: Path) -> Witness | None:
    """None when there is none. Raises LedgerError when the file holds something else."""
    path = home / WITNESS
    try:
        return msgspec.json.decode(path.read_bytes(), type=Witness)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise LedgerError(
            f"{path} is damaged, so it cannot be told whether {LEDGER} is the newest copy. "
            "Nothing is sent. Run `tupana outbox rebuild` to compare the ledger with the API."
        ) from None


def write_witness(home: Path, witness: Witness) -> None:
    write_private(home / WITNESS, msgspec.json.encode(witness))

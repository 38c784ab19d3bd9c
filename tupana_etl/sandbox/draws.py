"""Scripts of faults drawn from a seed."""

from __future__ import annotations

from random import Random

from tupana_etl.sandbox import kinds
from tupana_etl.sandbox.faults import Fault

SOME = 6
"""Faults of a random script, unless a number is asked for."""

_FATAL = frozenset({"401"})
"""Never drawn: not a fault to live with but something to change."""


def reading(seed: int, companies: list[str], n: int = SOME) -> list[Fault]:
    """``n`` faults of a seed, always the same; each ends by itself after some hits."""
    rng = Random(f"faults/{seed}")
    drawn = [
        k for k in kinds.READING if k not in _FATAL and (companies or k not in kinds.OF_COMPANY)
    ]
    return [_read(rng, rng.choice(drawn), companies) for _ in range(n)]


def writing(seed: int, n: int = SOME) -> list[Fault]:
    """``n`` faults of POST /documents/batch and of reading batches and documents back.

    None waits for the client to leave, and none is one that only a person can mend; each
    ends by itself.
    """
    rng = Random(f"writing/{seed}")
    return [_write(rng, rng.choice(list(_WRITES))) for _ in range(n)]


def _read(rng: Random, kind: str, companies: list[str]) -> Fault:
    paged = kind in {"insert_while_paging", "delete_while_paging"}
    needs = kind in kinds.OF_COMPANY
    company = rng.choice(companies) if companies and (needs or rng.random() < 0.3) else ""
    path = "" if paged or needs else rng.choice(("", "", "/documents", "/documents", "/cessions"))
    return Fault(
        kind,
        path,
        company,
        skip=rng.randint(0, 12),
        times=rng.choice(_TIMES.get(kind, (1, 1, 2, 3))),
        argument=rng.choice(_ARGUMENTS.get(kind, (None,))),
    )


def _write(rng: Random, kind: str) -> Fault:
    is_post = kind in _POSTS or rng.random() < 0.6
    return Fault(
        kind,
        "/documents/batch" if is_post else "/documents",
        method="POST" if is_post else "GET",
        skip=rng.randint(0, 4),
        times=rng.choice((1, 1, 1, 2, 3)),
        argument=rng.choice(_WRITES[kind]),
    )


_TIMES = {
    "429": (1, 3, 12),
    "503": (1, 3, 8),
    "403_company": (1, 6, 20),
    "hide_company": (4, 20),
    "empty": (1, 4),
}
_ARGUMENTS: dict[str, tuple[str | int | None, ...]] = {
    "429": (None, 0, 0, 1, "date"),
    "503": (None, 0, 1),
    "slow": (50, 200, 400),
}
_WRITES: dict[str, tuple[str | int | None, ...]] = {
    "429": (None, 0, "date"),
    "500": (None,),
    "502_html": (None,),
    "503": (None, 0),
    "not_json": (None,),
    "reset": (None,),
    "reset_body": (None,),
    "truncated": (None,),
    "slow": (50,),
    "status": (408, 502, 504),
    "reset_request": (0, 1, 100, 5000),
    "close": (None,),
    "lost": (None, "reset"),
    "done_status": (500, 502, 504),
    "later": (1, 60, 7200),
    "html": (None,),
    "no_body": (None,),
    "not_utf8": (None,),
    "fewer_entries": (None,),
    "reordered_entries": (None,),
    "outcome": (
        *("0:invalid", "0:permanent_error", "temporary_error>success", "0:incomplete"),
        *("1:temporary_error", "0:en_revision>success"),
    ),
    "drop_json_param": (0,),
    "other_totals": (1, 1000),
    "sii_reject": (0, 600),
    "intake_failed": (None,),
}
_POSTS = frozenset({*kinds.ORDERS, "reset_request", "later"})

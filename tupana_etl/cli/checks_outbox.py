"""What ``tupana doctor`` asks of the ledger: may it be sent from, and who is waited for."""

from __future__ import annotations

from collections.abc import Iterator

from tupana_etl.cli import output
from tupana_etl.cli.checks import Check
from tupana_etl.errors import LockHeld, TupanaError
from tupana_etl.outbox import resolve, rows
from tupana_etl.outbox.custody import LEDGER
from tupana_etl.outbox.ledger import exists, filesystem, loose, open_ledger
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.status import current, is_settled
from tupana_etl.settings import Settings


def check_outbox(configured: Settings) -> Iterator[Check]:
    """Opening the ledger asks for its file system, permissions, pepper, age and wholeness."""
    if not exists(configured.home):
        yield Check("ledger", "ok", "nothing was ever planned here")
        return
    closed = loose(configured.home)
    try:
        with open_ledger(configured.home) as ledger:
            broken = rows.first_broken_event(ledger)
            commits = ledger.sequence
            unsettled = [row for row in current(ledger) if not is_settled(row)]
            waiting = sum(bool(resolve.advice(ledger, row, Pace())) for row in unsettled)
    except LockHeld as error:
        yield Check("ledger", "fail", str(error), code=1)
        return
    except TupanaError as error:
        yield Check("ledger", "fail", "nothing may be sent from it", str(error))
        return
    except OSError as error:
        text = f"{error.filename} cannot be read: {error.strerror}"
        yield Check("ledger", "fail", text, "Run it as the user whose home this is.")
        return
    if broken is not None:
        yield Check(
            "ledger",
            "fail",
            f"event {broken} was changed by something that is not Tupana ETL",
            f"Keep {configured.home / LEDGER} as evidence, put back the newest backup made before "
            "that, then run `tupana outbox rebuild`.",
        )
    elif closed:
        names = ", ".join(closed)
        text = f"{names} could be read by other users; closed to them now"
        yield Check("ledger", "warn", text, "Find out who copies or syncs the home.")
    else:
        kind = filesystem(configured.home)
        where = f", on {kind}" if kind else ""
        text = f"whole and private, commit {output.number(commits)}{where}"
        yield Check("ledger", "ok", text)
    yield _check_rows(len(unsettled), waiting)


def _check_rows(unsettled: int, waiting: int) -> Check:
    if waiting:
        text = f"waiting for a person: {output.number(waiting)} of its rows"
        return Check("outbox", "fail", text, "`tupana outbox resolve` lists them.", code=1)
    if unsettled:
        text = f"not at rest yet: {output.number(unsettled)} of its rows"
        return Check("outbox", "warn", text, "`tupana outbox status` says what comes next.")
    return Check("outbox", "ok", "every row is at rest")

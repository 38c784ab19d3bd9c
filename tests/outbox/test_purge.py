"""Content leaves the ledger for good when its term is over, and nothing else does."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.runner import Runner
from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError, LedgerError, LockHeld
from tupana_etl.outbox import custody, failpoints, plan, resolve, rows
from tupana_etl.outbox import ledger as ledgers
from tupana_etl.outbox.approve import approve
from tupana_etl.outbox.backup import back_up, from_before
from tupana_etl.outbox.ledger import open_ledger, sending
from tupana_etl.outbox.plan import CONFLICT
from tupana_etl.outbox.purge import LAST, LEAST_DAYS, Purge, purge
from tupana_etl.outbox.purge import Row as Gone
from tupana_etl.outbox.rebuild import rebuild
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import State
from tupana_etl.pipeline import refresh

from .documents import Row, row
from .office import Office
from .till import Till, open_till

NAME, ITEM, WRONG = "Canaria Pérez Soto", "Consulta canaria", "nombre-canario"
RUT = "12345678-5"
CANARIES = (NAME, ITEM, WRONG, RUT)
NINETY = timedelta(days=90, minutes=1)


def sale(key: str, **changes: object) -> Row:
    day = str(changes.pop("date_issued", "2026-11-24"))
    told = {"receiver_name": NAME, "receiver_rut": RUT, "item_name": ITEM, "payment_method": "2"}
    return row(row_key=key, date_issued=day, due_date=day) | told | changes


def planned(office: Office, *given: Row, approved: bool = False) -> dict[str, str]:
    with open_ledger(office.home, office.clock) as ledger:
        made = plan.make(ledger, Source("sales", [(f"row {n}", r) for n, r in enumerate(given)]))
        if approved:
            approve(ledger, made.plan_hash, "Ana")
        return {each.draft.row_key: str(each.state) for each in made.rows}


def sent(office: Office, *given: Row) -> None:
    planned(office, *given, approved=True)
    office.send(400.0)


def purged(office: Office, days: int = 90, **other: object) -> Purge:
    with open_ledger(office.home, office.clock) as ledger:
        assert rows.first_broken_event(ledger) is None
    found = purge(office.home, days, by="Ana", clock=office.clock, wait=0)
    with open_ledger(office.home, office.clock) as ledger:
        assert rows.first_broken_event(ledger) is None
    return found


def keys(found: Sequence[Gone]) -> list[str]:
    return [each.row_key for each in found]


def holding(folder: Path, *canaries: str) -> set[str]:
    """Files below a folder whose bytes hold any of the canaries."""
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(c.encode() in file.read_bytes() for c in canaries or CANARIES)
    }


def test_content_leaves_every_byte_of_the_home_and_the_row_stays(office: Office) -> None:
    first = sale("a", quantity="0")
    assert planned(office, first, sale("b", receiver_rut=WRONG)) == {"a": "BLOCKED", "b": "BLOCKED"}
    sent(office, sale("a"), sale("b"), *(sale(f"more:{n}") for n in range(30)))
    with open_ledger(office.home, office.clock) as ledger:
        before = back_up(ledger, office.home / "backups" / "one").parent
    assert holding(office.home) == {custody.LEDGER, "backups/one/ledger.sqlite"}
    known = office.row("a")
    office.at += NINETY
    found = purged(office)
    assert (len(found.purged), found.kept, len(found.envelopes)) == (32, [], 1)
    with open_ledger(office.home, office.clock) as ledger:
        back_up(ledger, office.home / "backups" / "two")
        assert from_before(ledger, int(ledger.meta(LAST))) == [before]
        told = rows.history(ledger, "b")
        assert "purged" in {event.reason for event in told}
        assert told[-1].reason == "content purged: 90 days over"
        assert (told[-1].actor, told[-1].after) == ("Ana", "VERIFIED")
    assert holding(office.home) == {"backups/one/ledger.sqlite"}
    now = office.row("a")
    assert (now.payload, now.receiver_rut) == (None, "")
    assert now.purged_at is not None
    kept = ("payload_sha256", "said_sha256", "document_id", "folio", "total", "iva", "state")
    assert [getattr(now, n) for n in kept] == [getattr(known, n) for n in kept]


def test_after_a_purge_nothing_is_issued_again(office: Office) -> None:
    given = (sale("a"), sale("b"))
    sent(office, *given)
    office.at += NINETY
    purged(office)
    assert planned(office, *given) == {"a": "VERIFIED", "b": "VERIFIED"}
    assert planned(office, sale("a", unit_price=7), given[1])["a"] == CONFLICT
    assert office.send().requests == 0
    assert set(office.vendor.copies().values()) == {1}
    assert purged(office).purged == [], "a second purge has nothing to do"
    with open_ledger(office.home, office.clock) as ledger:
        sequence = ledger.sequence
    purged(office)
    with open_ledger(office.home, office.clock) as ledger:
        assert ledger.sequence == sequence


def test_only_rows_at_rest_for_long_enough(office: Office) -> None:
    sent(office, sale("old"))
    office.at += timedelta(days=60)
    sent(office, sale("old"), sale("young", date_issued="2027-01-23"))
    planned(office, sale("old"), sale("waiting", date_issued="2027-01-23"))
    assert keys(purged(office, 61).purged) == []
    assert keys(purged(office, 59).purged) == ["old"]
    office.at += timedelta(days=60, seconds=1)
    assert keys(purged(office, 60).purged) == ["young"], "whoever waits for approval stays"


@pytest.mark.parametrize("days", [0, LEAST_DAYS - 1])
def test_a_term_that_is_too_short_is_refused(office: Office, days: int) -> None:
    sent(office, sale("a"))
    office.at += NINETY
    with pytest.raises(ConfigError, match="too early"):
        purge(office.home, days, by="Ana", clock=office.clock)
    with pytest.raises(ConfigError, match="has a name"):
        purge(office.home, 90, by=" ", clock=office.clock)
    assert holding(office.home)


def test_a_doubt_keeps_its_bytes_and_all_that_was_sent_with_them(office: Office) -> None:
    """A lost batch of which one row is never found: everything of it is evidence."""
    planned(office, sale("a"), sale("b"), approved=True)
    office.vendor.statuses[office.row("b").row_tag] = "temporary_error"
    office.send()
    office.at += timedelta(hours=25)
    office.send()
    assert office.states() == {"a": State.VERIFIED, "b": State.STUCK}
    sent(office, sale("a"), sale("b"), sale("c"))
    office.at += NINETY
    found = purged(office)
    assert keys(found.purged) == ["c"]
    assert [(r.row_key, r.kept_for) for r in found.kept] == [("a", "b (STUCK since 2026-11-25)")]
    assert office.row("a").payload is not None
    with (
        open_ledger(office.home) as ledger,
        pytest.raises(sqlite3.IntegrityError, match="frozen when it is bound"),
        ledger.transaction(),
    ):
        ledger.con.execute("UPDATE envelopes SET body = x'', purged_at = 'now' WHERE id = 1")
    with (
        open_ledger(office.home) as ledger,
        pytest.raises(sqlite3.IntegrityError, match="until the row is at rest"),
        ledger.transaction(),
    ):
        ledger.con.execute("UPDATE intents SET payload = NULL, purged_at = 'now' WHERE id = 2")


def test_a_rejection_stays_until_somebody_has_seen_it(office: Office) -> None:
    sent(office, sale("a", item_name="REFUSE"))
    assert office.states() == {"a": State.REJECTED}
    assert "mal" in office.row("a").reason
    office.at += NINETY
    found = purged(office)
    assert (found.purged, found.unfinished) == ([], {State.REJECTED: 1})
    with open_ledger(office.home, office.clock) as ledger:
        resolve.acknowledge(ledger, "a", by="Ana", reason="of no use")
    office.at += NINETY
    found = purged(office)
    assert (keys(found.purged), found.unfinished) == (["a"], {})
    assert "purged" in office.row("a").reason
    with open_ledger(office.home) as ledger:
        assert "of no use" in {e.reason for e in rows.history(ledger, "a")}, "a person's words stay"
    assert holding(office.home) == set()


def test_a_withdrawn_row_comes_back_with_its_content(office: Office) -> None:
    planned(office, sale("a"), sale("b"))
    planned(office, sale("b"))
    office.at += NINETY
    assert keys(purged(office).purged) == ["a"]
    assert planned(office, sale("a"), sale("b"), approved=True) == {"a": "PLANNED", "b": "PLANNED"}
    assert office.row("a").purged_at is None
    assert office.send(400.0).counts == {State.VERIFIED: 2}


def test_a_change_to_what_is_left_of_an_event_is_seen(office: Office) -> None:
    planned(office, sale("a", receiver_rut=WRONG))
    sent(office, sale("a"))
    office.at += NINETY
    purged(office)
    with open_ledger(office.home) as ledger:
        sealed = [i for (i,) in ledger.con.execute("SELECT id FROM events WHERE reason = 'purged'")]
        with (
            pytest.raises(sqlite3.IntegrityError, match="no event is rewritten"),
            ledger.transaction(),
        ):
            ledger.con.execute("UPDATE events SET actor = 'Eva' WHERE id = ?", [sealed[0]])
        ledger.con.execute("DROP TRIGGER events_are_written_once")
        ledger.con.execute("UPDATE events SET actor = 'Eva' WHERE id = ?", [sealed[0]])
        assert rows.first_broken_event(ledger) == sealed[0]
        ledger.con.execute("UPDATE events SET actor = 'planner' WHERE id = ?", [sealed[0]])
        assert rows.first_broken_event(ledger) is None
        (whole,) = ledger.con.execute("SELECT max(id) FROM events WHERE actor = 'Ana'").fetchone()
        first = ledger.con.execute("SELECT min(id) FROM events WHERE reason = 'approved'")
        approved = first.fetchone()[0]
        assert approved < whole
        ledger.con.execute("UPDATE events SET reason = 'purged' WHERE id = ?", [approved])
        assert rows.first_broken_event(ledger) == approved, "no purge has sealed this one"


@pytest.fixture
def tupana(tmp_path: Path) -> Runner:
    """The command line over a home whose rows are at rest for a hundred days."""
    office = Office(tmp_path / "home", at=utcnow() - timedelta(days=100))
    day = office.at.date().isoformat()
    sent(office, *(sale(f"sale:{n}", date_issued=day) for n in range(12)))
    return Runner(tmp_path, "http://127.0.0.1:9/v1")


@pytest.mark.parametrize("place", failpoints.PURGING)
def test_killed_anywhere_the_next_purge_finishes(tupana: Runner, place: str) -> None:
    words = ("outbox", "purge", "--older-than", "90", "--by", "Ana")
    killed = tupana(*words, changes={failpoints.VARIABLE: place})
    assert killed.code == -signal.SIGKILL
    assert tupana.inside(*words, "--json").code == 0
    assert holding(tupana.home) == set()
    with open_ledger(tupana.home) as ledger:
        assert rows.first_broken_event(ledger) is None
        purges = [e for e in rows.history(ledger, "sale:0") if e.reason.startswith("content")]
        assert len(purges) == 1


def test_on_the_command_line(tupana: Runner) -> None:
    assert tupana.inside("outbox", "purge").code == 2, "no term is assumed"
    nobody = tupana.inside("outbox", "purge", "--older-than", "90")
    assert nobody.code == 2
    assert "--dry-run shows what would go" in " ".join(nobody.err.split())
    early = tupana.inside("outbox", "purge", "--older-than", "1", "--dry-run")
    assert (early.code, "too early" in early.err) == (2, True)
    assert tupana.inside("outbox", "backup").code == 0
    dry = tupana.inside("outbox", "purge", "--older-than", "90", "--dry-run")
    assert dry.code == 0
    assert "12 rows" in dry.out
    assert "2 more" in dry.out
    assert "Nothing was changed." in dry.out
    assert custody.LEDGER in holding(tupana.home)
    done = tupana.inside("outbox", "purge", "--older-than", "90", "--by", "Ana Rojas")
    assert done.code == 0
    assert "12 rows" in done.out
    assert "lost their content, by Ana Rojas" in " ".join(done.out.split())
    assert "still hold what it took" in done.out
    assert str(tupana.home / "backups") in done.out
    again = tupana.inside("outbox", "purge", "--older-than", "90", "--by", "Ana", "--json")
    assert again.json["purged"] == []
    assert len(again.json["copies"]) == 1
    assert tupana.inside("outbox", "status", "--all").code == 0
    history = tupana.inside("outbox", "history", "sale:3")
    assert "content purged: 90 days over" in history.out
    assert tupana.inside("outbox", "resolve").code == 0
    forgotten = Office(tupana.home, at=utcnow() - timedelta(days=95))
    assert planned(forgotten, sale("left", receiver_rut=WRONG)) == {"left": "BLOCKED"}
    left = tupana.inside("outbox", "purge", "--older-than", "90", "--dry-run")
    assert "not at rest, so they keep everything: 1 BLOCKED" in " ".join(left.out.split())
    found = tupana.inside("outbox", "purge", "--older-than", "90", "--dry-run", "--json")
    assert found.json["not_at_rest"] == {"BLOCKED": 1}


def test_a_sender_or_another_purge_is_waited_for(office: Office) -> None:
    sent(office, sale("a"))
    office.at += NINETY
    with sending(office.home, 0), pytest.raises(LockHeld):
        purge(office.home, 90, by="Ana", clock=office.clock, wait=0)
    assert office.row("a").payload is not None
    assert keys(purged(office).purged) == ["a"]


def test_a_reader_in_the_way_leaves_the_rest_to_the_next_purge(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(office, sale("a"))
    office.at += NINETY
    compact = ledgers.Ledger.compact

    def while_somebody_reads(ledger: ledgers.Ledger) -> None:
        with closing(sqlite3.connect(office.home / custody.LEDGER)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM intents").fetchone()
            compact(ledger)

    monkeypatch.setattr(ledgers, "BUSY_SECONDS", 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(ledgers.Ledger, "compact", while_somebody_reads)
        with pytest.raises(LockHeld, match="The content is purged"):
            purge(office.home, 90, by="Ana", clock=office.clock)
    assert office.row("a").payload is None
    assert purged(office).purged == []
    with open_ledger(office.home) as ledger:
        assert ledger.con.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_a_disk_that_fills_up_in_between_leaves_the_rest_to_the_next_purge(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(office, *(sale(f"row:{n}") for n in range(40)))
    office.at += NINETY
    compact = ledgers.Ledger.compact

    def without_room(ledger: ledgers.Ledger) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            compact(ledger)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with monkeypatch.context() as patched:
        patched.setattr(ledgers.Ledger, "compact", without_room)
        with pytest.raises(LedgerError, match="The content is purged"):
            purge(office.home, 90, by="Ana", clock=office.clock)
    assert office.row("row:0").payload is None
    assert purged(office).purged == []
    assert holding(office.home) == set()
    assert set(office.states().values()) == {State.VERIFIED}


def test_a_full_disk_purges_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(office, *(sale(f"row:{n}") for n in range(40)))
    office.at += NINETY
    connect = ledgers._connect

    def without_room(path: Path) -> sqlite3.Connection:
        con = connect(path)
        con.execute("PRAGMA max_page_count = 1")  # as large as it is, and no larger
        return con

    with monkeypatch.context() as patched:
        patched.setattr(ledgers, "_connect", without_room)
        with pytest.raises(LedgerError, match="could not be written"):
            purge(office.home, 90, by="Ana", clock=office.clock)
    assert office.row("row:0").payload is not None
    assert len(purged(office).purged) == 40
    assert holding(office.home) == set()


# What was made before content could be purged


def test_an_older_ledger_is_brought_to_this_version(office: Office, tmp_path: Path) -> None:
    old, new = Office(tmp_path / "old"), office
    for each in (old, new):
        sent(each, sale("a"))
    ledger_of_version_1(old)
    older = (old.home / custody.LEDGER).read_bytes()
    assert old.states() == {"a": State.VERIFIED}
    shapes = []
    for each in (old, new):
        with open_ledger(each.home) as ledger:
            assert ledger.meta("schema_version") == "2"
            tables = [r[0] for r in ledger.con.execute("SELECT name FROM sqlite_master ORDER BY 1")]
            columns = {t: ledger.con.execute(f"PRAGMA table_info({t})").fetchall() for t in tables}
            triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
            shapes.append((columns, ledger.con.execute(triggers).fetchall()))
    assert shapes[0] == shapes[1]
    old.at += NINETY
    assert keys(purged(old).purged) == ["a"]
    assert holding(old.home) == set()
    (old.home / custody.LEDGER).write_bytes(older)
    with pytest.raises(LedgerError, match="older copy"), open_ledger(old.home):
        pass
    assert (old.home / custody.LEDGER).read_bytes() == older, "refused before it is touched"
    with open_ledger(old.home, of_any_age=True) as ledger:
        rebuild(ledger, by="Ana", reason="disk lost")
    assert keys(purged(old).purged) == ["a"], "what a backup brought back goes again"


def test_an_upgrade_that_fails_leaves_the_older_ledger(office: Office) -> None:
    sent(office, sale("a"))
    ledger_of_version_1(office)
    path = office.home / custody.LEDGER
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("ALTER TABLE intents ADD COLUMN purged_at TEXT")  # in the way of ours
    with pytest.raises(LedgerError), open_ledger(office.home):
        pass
    with closing(sqlite3.connect(path)) as con, con:
        version = con.execute("SELECT value FROM meta WHERE name = 'schema_version'")
        assert version.fetchone() == ("1",)
        con.execute("ALTER TABLE intents DROP COLUMN purged_at")
    assert office.states() == {"a": State.VERIFIED}


def ledger_of_version_1(office: Office) -> None:
    """Puts the rows of a home into the tables as they were."""
    path, older = office.home / custody.LEDGER, office.home / "older.sqlite"
    with closing(sqlite3.connect(older)) as con:
        con.executescript(Path(__file__).with_name("ledger_v1.sql").read_text(encoding="utf-8"))
        con.execute("ATTACH ? AS newer", [str(path)])
        tables = con.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = con.execute(f"PRAGMA main.table_info({table})").fetchall()
            names = ", ".join(c[1] for c in columns)
            con.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM newer.{table}")
        con.execute("UPDATE meta SET value = '1' WHERE name = 'schema_version'")
        con.commit()
    older.replace(path)


# Payments, acts at SII, cessions and schedules


@pytest.fixture(scope="module")
def served() -> Iterator[Till]:
    with open_till(documents=200) as opened:
        yield opened


CEDABLE = (
    "SELECT issuer_rut || '|' || dte_type_code || '|' || folio FROM marts.factoring_candidates "
    "WHERE eligible AND open_balance_clp = total_clp"
)


def test_every_kind_of_row_and_what_the_marts_say_of_them(served: Till) -> None:
    till = served
    ceded, paid = till.invoices(f"NOT is_paid AND doc_key IN ({CEDABLE})")[:2]
    claimed = till.received("acceptance = 'pending' AND payment_method = '2'")[0]
    schedule = {
        "row_key": "contract:1",
        "issuer_rut": till.desk.issuers[0],
        "dte_type": "33",
        "receiver_rut": "76192083-9",
        "frequency": "monthly",
        "day_of_month": 10,
        "start_date": (utcnow() + timedelta(days=400)).date().isoformat(),
        "details": [{"item_name": ITEM, "quantity": 1, "unit_price": 150_000}],
    }
    payment = till.payment("bank:1", paid)
    cession = till.cession("cede:1", ceded, assignee_name=NAME)
    claim = till.claim("claim:1", claimed, reason=WRONG)

    def again() -> list[str]:
        made = (
            till.plan_payments(payment),
            till.plan_claims(claim),
            till.plan_cessions(cession),
            till.plan_schedules(schedule),
        )
        return [str(made_.rows[0].state) for made_ in made]

    for made in (till.plan_payments(payment), till.plan_cessions(cession)):
        till.approve(made)
    till.send(only="payment")
    for made in (till.plan_claims(claim), till.plan_schedules(schedule)):
        till.approve(made)
    result = till.send()
    assert set(till.states().values()) == {State.VERIFIED}, (till.states(), result.notices)
    assert custody.LEDGER in holding(till.home, NAME, ITEM, WRONG)
    later = utcnow() + NINETY
    found = purge(till.home, 90, by="Ana", clock=lambda: later)
    assert len(found.purged) == 4
    for source in ("rows.csv", "schedules.json"):
        (till.home / source).unlink()
    assert not holding(till.home, NAME, ITEM, WRONG) & {custody.LEDGER}
    booked = (till.entries(), till.ceded())
    assert again() == ["VERIFIED"] * 4
    assert till.plan_schedules(schedule, schedule | {"row_key": "contract:2"}).rows[1].state == (
        State.BLOCKED
    )
    assert till.plan_cessions(till.cession("cede:1", ceded)).rows[0].state == CONFLICT
    assert till.send().requests == 0
    assert (till.entries(), till.ceded()) == booked
    with open_ledger(till.home) as ledger:
        assert {i.row_key: bool(i.payload) for i in rows.everything(ledger)} == {
            "bank:1": True,
            "claim:1": True,
            "cede:1": False,
            "contract:1": False,
            "contract:2": False,
        }
    refresh(till.settings, document=paid[3])
    assert till.ask(
        "SELECT row_key, event FROM outbox.\"rows\" WHERE op = 'payment' ORDER BY 1"
    ) == [
        ("bank:1", "PAID"),
        ("claim:1", "RCD"),
    ]
    assert till.ask("SELECT count(*) FROM outbox.\"rows\" WHERE receiver_rut <> ''") == [(1,)]
    said = till.ask("SELECT row_key, source FROM outbox.payments")
    assert said == [("bank:1", "bank")]

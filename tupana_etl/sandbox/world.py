"""Makes a whole world from a seed: companies, documents and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from tupana_etl import domain
from tupana_etl.sandbox import amounts, dates, extras, fates, notes, parties
from tupana_etl.sandbox.load import load_directory
from tupana_etl.sandbox.model import Content, Document, Entity, Party, Reference, World
from tupana_etl.sandbox.parties import Cast

FIRST_ENTITY, FIRST_DOCUMENT = 2_205_607, 480_001

_SHARES = {"34": 0.08, "46": 0.01, "39": 0.02, "52": 0.01, "80": 0.02, "90": 0.01, "110": 0.02}
"""Share of each type; 61 (8 %) and 56 (1 %) are made from these, 33 is the rest."""

_ALWAYS_ISSUED = frozenset({"39", "52", "90", "110"})
_TERMS = (30, 30, 30, 45, 60, 60, 90, None)


@dataclass
class Folios:
    """Next folio of each issuer and type: folios are unique only within that pair."""

    rng: Random
    last: dict[tuple[str, str], int] = field(default_factory=dict)

    def next(self, document: Document, *, own: bool) -> str:
        key = (document.sender.rut, document.dte_type)
        if key not in self.last:
            self.last[key] = self.rng.randint(10, 90_000)
        self.last[key] += 1 if own else self.rng.randint(1, 40)
        return str(self.last[key])


def generate(world: World) -> Content:
    """The world of a seed and a day; the same two always make the same one."""
    rng = Random(world.seed)
    today = world.today or domain.today()
    content = Content(today)
    taken = {domain.FOREIGN_RECEIVER, domain.UNIDENTIFIED_RECEIVER}
    own = [parties.company(rng, FIRST_ENTITY + i, taken, own=True) for i in range(world.companies)]
    content.entities += own
    if own and world.documents:
        _populate(rng, world, content, own, taken)
    if world.load is not None:
        load_directory(world.load, content)
    extras.add(rng, content)
    return content


def _populate(
    rng: Random, world: World, content: Content, own: list[Entity], taken: set[str]
) -> None:
    first = FIRST_ENTITY + len(own)
    count = min(500, 12 + world.documents // 20)
    others = [parties.company(rng, first + i, taken) for i in range(count)]
    people = [parties.person(rng, first + count + i, taken) for i in range(4 + count // 8)]
    factors = parties.factors(rng, first + count + len(people), taken)
    content.entities += [*others, *people, *factors]

    note_count = {"61": round(world.documents * 0.08), "56": round(world.documents * 0.01)}
    days = dates.days(content.today, world.months)
    cast = Cast(own, others, people, factors, content.today)
    base = _base(rng, world.documents - sum(note_count.values()), days, cast)
    fates.unhappy(rng, base, cast)
    folios = Folios(rng)
    own_ruts = {e.rut for e in own}
    _number(base, folios, own_ruts)
    adjusting = notes.make(rng, base, note_count, content.today)
    _number(adjusting, folios, own_ruts)
    documents = base + adjusting
    paid_on = fates.live(rng, documents, content.today)
    _identify(rng, documents)
    content.documents = documents
    content.cessions = fates.cede(rng, documents, paid_on, cast)


def _base(rng: Random, count: int, days: dates.Days, cast: Cast) -> list[Document]:
    """Every document but the notes, by date."""
    types = [code for code, share in _SHARES.items() for _ in range(round(count * share))]
    types = (types + ["33"] * (count - len(types)))[:count]
    rng.shuffle(types)
    weights = [1 / (i + 1) for i in range(len(cast.own))]
    companies = rng.choices(cast.own, weights, k=count)
    issued_on = sorted(dates.pick(rng, days, count))
    return [
        fresh(rng, kind, company, day, cast)
        for kind, company, day in zip(types, companies, issued_on, strict=True)
    ]


def fresh(rng: Random, dte_type: str, company: Entity, day: date, cast: Cast) -> Document:
    """A new document of one of the user's companies, without id and folio."""
    issued = dte_type in _ALWAYS_ISSUED or (dte_type != "80" and rng.random() < 0.55)
    other = _counterpart(rng, dte_type, company, cast)
    mine = Party(company.id, company.rut, company.name)
    sender, receiver = (mine, other) if issued else (other, mine)
    document = Document(0, dte_type, None, day, sender, receiver)
    if dte_type == "110":
        amounts.in_dollars(rng, document, amounts.pesos(rng) * 8)
    else:
        scale = 4 if dte_type in {"39", "80", "90"} else 1
        mixed = dte_type == "33" and rng.random() < 0.03
        amounts.fill(rng, document, max(1000, amounts.pesos(rng) // scale), exempt_lines=mixed)
    _terms(rng, document)
    document.received_at = _reception(rng, day, cast.today)
    document.created_at = document.updated_at = _stored(
        rng, document.received_at, issued, cast.today
    )
    if dte_type in {"33", "34"} and rng.random() < 0.25:
        document.references = [_order(rng, day)]
    if issued and rng.random() < 0.1:
        document.json_param = f'{{"external_order_id":"PED-{rng.randint(100, 99999)}"}}'
    return document


def _counterpart(rng: Random, dte_type: str, company: Entity, cast: Cast) -> Party:
    if dte_type == "39":
        return Party(None, domain.UNIDENTIFIED_RECEIVER, None)
    if dte_type == "110":
        return Party(None, domain.FOREIGN_RECEIVER, rng.choice(parties.FOREIGN_BUYERS)[0])
    siblings = [e for e in cast.own if e is not company]
    if dte_type in {"80", "90"}:
        other = rng.choice(cast.people)
    elif siblings and rng.random() < 0.03:
        other = rng.choice(siblings)
    else:
        # The square of an even draw: few counterparties make most of the business.
        other = cast.others[int(rng.random() ** 2 * len(cast.others))]
    return Party(other.id, other.rut, other.name)


def _terms(rng: Random, document: Document) -> None:
    kind = domain.DTE_TYPES[document.dte_type]
    if kind.is_honorarios:
        payer_withholds = document.dte_type == "90" or rng.random() < 0.85
        document.retention_type = "RETRECEPTOR" if payer_withholds else "RETCONTRIBUYENTE"
    elif kind.is_receipt:
        document.payment_method = "1"
    elif document.dte_type != "52":
        document.payment_method = "2" if rng.random() < 0.86 else "1"
        days = rng.choice(_TERMS) if document.payment_method == "2" else None
        document.due_date = document.date_issued + timedelta(days=days) if days else None


def _reception(rng: Random, day: date, today: date) -> datetime:
    late = timedelta(days=rng.choice((0, 0, 0, 0, 1, 1, 2, 3)))
    return dates.moment(rng, min(day + late, today), today)


def _stored(rng: Random, received: datetime, issued: bool, today: date) -> datetime:
    """When Tu Pana learned of it: at once if it issued it, else when it next read SII."""
    wait = timedelta(seconds=rng.randint(1, 90) if issued else rng.randint(600, 86_000))
    stored = min(received + wait, max(received, dates.end_of(today)))
    return stored + timedelta(microseconds=rng.randint(1, 999_999))


def _order(rng: Random, day: date) -> Reference:
    folio = str(rng.randint(100, 4_510_099_999))
    folio = folio if rng.random() < 0.5 else f"OC{folio}"
    ordered = day - timedelta(days=rng.randint(1, 40))
    return Reference(folio, ordered.isoformat(), None, None, "801")


def _number(documents: list[Document], folios: Folios, own_ruts: set[str]) -> None:
    for document in documents:
        if document.state in {"issued", "rejected"}:
            document.folio = folios.next(document, own=document.sender.rut in own_ruts)


def _identify(rng: Random, documents: list[Document]) -> None:
    """Ids in the order Tu Pana stored the documents, so late arrivals have high ids."""
    documents.sort(key=lambda d: (d.created_at, d.sender.rut, d.dte_type, d.folio or ""))
    next_id = FIRST_DOCUMENT
    for document in documents:
        document.id = next_id
        next_id += rng.choice((1, 1, 1, 2, 3))

"""Lines and totals that agree to the peso. Rules: facts of SII's Formato DTE 2.2."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from random import Random

from tupana_etl import domain
from tupana_etl.sandbox.model import ZERO, Document, Line

_GOODS: tuple[tuple[str, str | None], ...] = (
    ("Tornillo autoperforante", "UN"),
    ("Flete regional", "UN"),
    ("Arriendo de maquinaria", "DIA"),
    ("Asesoría técnica", "HR"),
    ("Harina  panadera 25 kg", "SACO"),
    ("Cable eléctrico 2,5 mm²", "MT"),
    ("Mantención mensual", None),
    ("Envase de cartón", "CJ"),
    ("Licencia de uso", "UN"),
)


def half_up(value: Decimal, places: str = "1") -> Decimal:
    return value.quantize(Decimal(places), rounding=ROUND_HALF_UP)


def pesos(rng: Random) -> int:
    """A net amount, pesos: lognormal around 300,000 with a long tail."""
    return max(1000, min(int(rng.lognormvariate(12.6, 1.3)), 900_000_000))


def fill(rng: Random, document: Document, target: int, *, exempt_lines: bool = False) -> None:
    """Gives the document 1 to 5 lines worth about ``target`` and the totals they make."""
    parts = _split(rng, target, rng.choice((1, 1, 1, 2, 2, 3, 4, 5)))
    document.lines = [_line(rng, i, part) for i, part in enumerate(parts, 1)]
    if exempt_lines:
        document.lines[-1].is_exempt = True
    total(document)


def single_line(document: Document, name: str, amount: Decimal, *, is_exempt: bool = False) -> None:
    """One line of exactly ``amount``, as notes have."""
    document.lines = [
        Line("1", name, None, None, None, "1", "UN", str(amount), None, is_exempt, str(amount))
    ]
    total(document)


def total(document: Document) -> None:
    """Totals from the lines, by the type's rule."""
    kind = domain.DTE_TYPES[document.dte_type]
    if not kind.has_iva:
        for line in document.lines:
            line.is_exempt = not kind.is_honorarios
    exempt = sum((Decimal(x.item_total or 0) for x in document.lines if x.is_exempt), ZERO)
    net = sum((Decimal(x.item_total or 0) for x in document.lines if not x.is_exempt), ZERO)
    document.net, document.exempt = net, exempt
    document.iva = Decimal(domain.iva(int(net))) if kind.has_iva else ZERO
    withheld = document.iva if document.vat_withheld else ZERO
    document.total = net + exempt + document.iva - withheld
    if kind.is_honorarios:
        # The ten percent of 2019, where the law's schedule starts, held before it too.
        year = max(document.date_issued.year, min(domain.HONORARIOS_RETENTION))
        document.retention = Decimal(domain.honorarios_retention(int(net), year))


def in_dollars(rng: Random, document: Document, target: int) -> None:
    """Export: exempt lines in dollars and cents, with the customs' rate of the day."""
    document.currency = "USD"
    document.exchange_rate = half_up(Decimal(str(rng.uniform(880, 990))), "0.0001")
    quantity = rng.choice((1, 2, 10, 240))
    price = half_up(Decimal(target) / quantity / document.exchange_rate, "0.01") + Decimal("0.01")
    document.lines = [
        Line(
            "1",
            "Fruta fresca de exportación",
            "Caja 8,2 kg",
            "EXP-01",
            "INT1",
            str(quantity),
            "KN",
            str(price),
            None,
            True,
            str(price * quantity),
        )
    ]
    total(document)


def in_clp(document: Document, amount: Decimal) -> Decimal:
    """An amount of the document in whole pesos, by the document's own rate."""
    return half_up(amount * document.exchange_rate) if document.exchange_rate else amount


def _split(rng: Random, target: int, parts: int) -> list[int]:
    weights = [rng.uniform(0.3, 1.7) for _ in range(parts)]
    scale = sum(weights)
    return [max(100, int(target * w / scale)) for w in weights]


def _line(rng: Random, number: int, target: int) -> Line:
    name, unit = rng.choice(_GOODS)
    quantity = Decimal(rng.choice(("1", "1", "1", "2", "3", "5", "10", "12", "2.5", "0.75", "24")))
    discount = rng.choice((None, None, None, None, None, None, None, "5", "10", "12.5"))
    price = max(Decimal(1), half_up(target / quantity))
    if rng.random() < 0.05:
        price += Decimal(rng.choice(("0.86", "0.5", "0.333333")))
    kept = 1 - Decimal(discount or 0) / 100
    coded = rng.random() < 0.3
    return Line(
        line_number=str(number),
        item_name=name,
        item_description="Según  cotización" if rng.random() < 0.2 else None,
        item_code=f"SKU{rng.randint(1000, 9999)}" if coded else None,
        item_type_code=rng.choice(("INT1", "EAN13", "1")) if coded else None,
        quantity=str(quantity),
        unit=unit,
        unit_price=str(price),
        discount_percent=discount,
        is_exempt=False,
        item_total=str(half_up(quantity * price * kept)),
    )

"""Invented companies and people. No name here is meant to be anyone's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from random import Random

from tupana_etl.domain import check_digit
from tupana_etl.sandbox.model import Entity

_TRADES = (
    ("Comercial", "469000", "VENTA AL POR MAYOR NO ESPECIALIZADA"),
    ("Distribuidora", "463090", "VENTA AL POR MAYOR DE OTROS ALIMENTOS"),
    ("Constructora", "410020", "CONSTRUCCION DE EDIFICIOS"),
    ("Transportes", "492300", "TRANSPORTE DE CARGA POR CARRETERA"),
    ("Servicios", "829900", "OTRAS ACTIVIDADES DE SERVICIOS DE APOYO"),
    ("Agrícola", "011900", "CULTIVO DE OTRAS PLANTAS"),
    ("Importadora", "465900", "VENTA AL POR MAYOR DE MAQUINARIA"),
    ("Ingeniería", "711002", "SERVICIOS DE INGENIERIA"),
    ("Metalúrgica", "259200", "TRATAMIENTO DE METALES"),
    ("Imprenta", "181109", "OTRAS ACTIVIDADES DE IMPRESION"),
)
_HEADS = ("Luma", "Tren", "Coi", "Puye", "Rauco", "Quil", "Ñire", "Arra", "Mela", "Cune", "Talca")
_TAILS = ("vento", "landa", "quelo", "mira", "corda", "nívea", "pardo", "silvo", "trazo", "umbra")
_FORMS = ("SpA", "Ltda.", "S.A.", "E.I.R.L.", "y Cía. Ltda.")
_GIVEN = ("Marta", "Rodrigo", "Elisa", "Benjamín", "Inés", "Óscar", "Paula", "Tomás", "Noemí")
_FAMILY = ("Ardiles", "Quezada", "Ibáñez", "Llancavil", "Peñaloza", "Zamora", "Urriola", "Mancilla")
_DISTRICTS = (
    ("Providencia", "Santiago"),
    ("Quilicura", "Santiago"),
    ("Viña del Mar", "Valparaíso"),
    ("Talcahuano", "Concepción"),
    ("Antofagasta", "Antofagasta"),
    ("Puerto Varas", "Puerto Montt"),
)
_FACTORS = (
    "Factoring Coivento SpA",
    "Puyemira Servicios Financieros S.A.",
    "Trenumbra Capital SpA",
)
FOREIGN_BUYERS = (
    ("Norrvale Trading AB", "510"),
    ("Harrowmere Foods Ltd", "510"),
    ("Bluecask Imports LLC", "225"),
    ("Casa Tulmare SRL", "224"),
)
"""Invented foreign customers and a customs country code."""


@dataclass(frozen=True)
class Cast:
    """Who takes part in a world, and on which day it stands."""

    own: list[Entity]
    others: list[Entity]
    people: list[Entity]
    factors: list[Entity]
    today: date


def rut(body: int) -> str:
    return f"{body}-{check_digit(body)}"


def company(rng: Random, entity_id: int, taken: set[str], *, own: bool = False) -> Entity:
    """A legal person: RUT body from 76 to 78 million, unused so far."""
    trade, code, activity = rng.choice(_TRADES)
    name = f"{trade} {rng.choice(_HEADS)}{rng.choice(_TAILS)} {rng.choice(_FORMS)}"
    tax_id = _free(rng, 76_000_000, 78_999_999, taken)
    return replace(_entity(rng, entity_id, tax_id, name, (code, activity)), own=own)


def person(rng: Random, entity_id: int, taken: set[str]) -> Entity:
    """A natural person: RUT body below 30 million."""
    name = f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)} {rng.choice(_FAMILY)}"
    body = _free(rng, 7_000_000, 21_999_999, taken)
    return _entity(rng, entity_id, body, name, ("749000", "OTRAS ACTIVIDADES PROFESIONALES"))


def factors(rng: Random, first_id: int, taken: set[str]) -> list[Entity]:
    """The factoring companies that invoices are ceded to."""
    return [
        _entity(
            rng,
            first_id + i,
            _free(rng, 96_500_000, 96_999_999, taken),
            name,
            ("649900", "OTRAS ACTIVIDADES DE SERVICIOS FINANCIEROS"),
        )
        for i, name in enumerate(_FACTORS)
    ]


def _entity(
    rng: Random, entity_id: int, tax_id: str, name: str, activity: tuple[str, str]
) -> Entity:
    district, city = rng.choice(_DISTRICTS)
    return Entity(
        id=entity_id,
        rut=tax_id,
        name=_as_typed(rng, name),
        email=f"contacto@{tax_id[:-2]}.example" if rng.random() < 0.7 else None,
        address=f"AV LOS CANELOS {rng.randint(10, 4999)} OF {rng.randint(1, 90)}   OFIC",
        district=district.upper(),
        city=city.upper(),
        phone=f"+562{rng.randint(20000000, 29999999)}" if rng.random() < 0.5 else None,
        activity_code=activity[0],
        activity_name=activity[1],
    )


def _as_typed(rng: Random, name: str) -> str:
    """Names as registries hold them: capitals, double and trailing spaces."""
    dice = rng.random()
    if dice < 0.35:
        return name.upper()
    if dice < 0.40:
        return name.replace(" ", "  ", 1)
    return f"{name} " if dice < 0.43 else name


def _free(rng: Random, low: int, high: int, taken: set[str]) -> str:
    while True:
        candidate = rut(rng.randint(low, high))
        if candidate not in taken:
            taken.add(candidate)
            return candidate

"""What the notebooks call: parameters as a finance person writes them, in Spanish."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from tupana_etl.reports import Report, Terms, build
from tupana_etl.settings import load


def abrir(
    informe: str,
    empresa: str = "todas",
    fecha: str = "hoy",
    carpeta: str = "",
    *,
    documento: str = "",
    condiciones: Terms | None = None,
) -> Report:
    """The report whose sections the cells show.

    Raises ConfigError as ``build`` does, ValueError for a date that is none.
    """
    here = Path.cwd()
    # .env and tupana_home stand in the root of the repository.
    root = here.parent if here.name == "notebooks" else here
    settings = load(directory=root)
    if not settings.home.exists() and root != here:
        settings = settings.with_home(root / "tupana_home")
    if carpeta:
        settings = settings.with_home(Path(carpeta).expanduser().absolute())
    everyone = empresa.strip().lower() in ("", "todas")
    return build(
        informe,
        settings,
        entity=None if everyone else empresa,
        as_of=_day(fecha),
        document=documento.strip() or None,
        terms=condiciones,
    )


def oferta(
    descuento_mensual: str,
    anticipo: str = "100",
    comision: int = 0,
    comision_sobre_el_valor: str = "0",
    dias_de_atraso: int = 0,
) -> Terms:
    """An offer in percent and pesos."""
    return Terms(
        Decimal(descuento_mensual) / 100,
        Decimal(anticipo) / 100,
        comision,
        Decimal(comision_sobre_el_valor) / 100,
        dias_de_atraso,
    )


def _day(text: str) -> date | None:
    words = text.strip().lower()
    if words in ("", "hoy"):
        return None
    try:
        return date(*map(int, reversed(words.split("-"))))
    except (TypeError, ValueError):
        raise ValueError(f'FECHA es {text!r}: escriba "hoy" o una fecha dd-mm-aaaa.') from None

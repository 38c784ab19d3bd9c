"""How to read the figures: what the words mean and which law is behind them."""

from __future__ import annotations

from tupana_etl.reports.blocks import Prose, Section

_RECEIVABLES = """
Por cobrar: documentos en que la empresa vende y cobra. La factura de compra (46) y la boleta de
terceros (90) las emite quien paga: emitir una no crea una cuenta por cobrar.

Sin deuda: boletas (39, 41), documentos al contado o sin costo y guías de despacho (52). Si la
factura no dice la forma de pago, se entiende a crédito.

Aceptación (Ley 19.983, art. 3): el comprador puede reclamar dentro de 8 días corridos desde que
SII recibe la factura. Si calla, queda irrevocablemente aceptada; esa aceptación tácita no deja
registro en SII y se calcula aquí, con la hora de Santiago.

Vencimiento (Ley 21.131): manda la fecha del documento. Si no la trae, 30 días corridos desde la
recepción; si no consta la recepción, 30 días desde la emisión.

Mora: la ley da derecho a interés corriente y a una comisión de 1 % del saldo impago. El interés
no se calcula aquí, porque los datos no traen la tasa vigente.

Reclamado no es perdido: sigue en el saldo, señalado, hasta que se anule o se resuelva.

Boletas sin nombre y clientes extranjeros: muchos clientes comparten los RUT 66.666.666-6 y
55.555.555-5; ahí se agrupan por nombre.
"""

_FACTORING = """
Cesión: una vez registrada en SII, el crédito es del cesionario y sale de nuestro saldo; lo que
queda en trámite todavía es nuestro.

Se pueden ceder las facturas 33 y 34 (43 y 46, con revisión). Las facturas al contado no
(Circular SII 35/2017).

Anticipo: la parte del valor que se paga al ceder. Descuento: anticipo × tasa mensual × días ÷
30. La comisión lleva IVA. Lo retenido se devuelve cuando el deudor paga, menos el descuento de
los días de atraso.

Si la cesión fue venta, cobranza, con o sin responsabilidad, lo dice el contrato: el registro de
SII no.
"""

_LAST = """
Las tablas muestran pesos exactos; los gráficos redondean solo para dibujar. Lo que Tu Pana o
SII no dicen queda sin dato: no se rellena con supuestos. Este resumen de las leyes ayuda a leer
las cifras y no reemplaza la asesoría legal.
"""


def receivables() -> Section:
    return _section(_RECEIVABLES + _LAST)


def factoring() -> Section:
    return _section(_FACTORING + _LAST)


def _section(text: str) -> Section:
    """A paragraph ends at an empty line, or at the end of a text."""
    paragraphs = [p for p in text.replace("\n\n", "\0").split("\0") if p.strip()]
    return Section("como-leer", "Cómo leer esto", [Prose(" ".join(p.split())) for p in paragraphs])

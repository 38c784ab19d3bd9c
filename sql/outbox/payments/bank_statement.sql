-- Payments by the lines of ref.bank_statement: one row for every line of money that came in,
-- with the invoice it pays or the reason why none was found. A line pays an open invoice of
-- the account's company whose whole balance is its amount, of the payer when the bank names
-- one; where several fit, the folio in the bank's text decides. A line that was matched once
-- keeps its document. Lines of money that went out are left out.
-- row_key: bank:LINE.
-- issuer_rut: The company whose account it is.
-- dte_type: Type of the document that is paid; NULL when none was found.
-- folio: Its folio; NULL when none was found.
-- event: PAID.
-- paid_on: When the money came.
-- source: The statement's line.
-- no_match: Why no document was found; NULL when one was.
WITH lines AS (
    SELECT
        b.*,
        'bank:' || line_id AS row_key,
        r.dte_type AS known_type,
        r.folio AS known_folio
    FROM ref.bank_statement AS b
    LEFT JOIN outbox.rows AS r
        ON 'bank:' || b.line_id = r.row_key AND r.op = 'payment' AND r.document_id <> ''
    WHERE b.amount > 0
    QUALIFY row_number() OVER (PARTITION BY b.line_id ORDER BY r.generation DESC) = 1
),

open_invoices AS (
    SELECT issuer_rut, dte_type_code, folio, buyer_rut, open_balance_clp
    FROM marts.documents
    WHERE
        our_role = 'seller'
        AND dte_type_code IN ('33', '34', '39', '41')
        AND open_balance_clp > 0
        AND NOT is_paid
),

fitting AS (
    SELECT
        l.line_id,
        o.dte_type_code,
        o.folio,
        regexp_matches(
            coalesce(l.description, ''), '(^|[^0-9])0*' || o.folio || '([^0-9]|$)'
        ) AS is_named
    FROM lines AS l
    INNER JOIN open_invoices AS o
        ON
            l.account_rut = o.issuer_rut
            AND l.amount = o.open_balance_clp
            AND coalesce(l.payer_rut = o.buyer_rut, true)
),

decided AS (
    SELECT
        line_id,
        count(*) AS fit,
        count(*) FILTER (WHERE is_named) AS named,
        any_value(dte_type_code) FILTER (WHERE is_named) AS named_type,
        any_value(folio) FILTER (WHERE is_named) AS named_folio,
        any_value(dte_type_code) AS one_type,
        any_value(folio) AS one_folio,
        string_agg(dte_type_code || ' ' || folio, ', ' ORDER BY folio) AS folios
    FROM fitting
    GROUP BY line_id
),

owed AS (
    SELECT issuer_rut, buyer_rut, count(*) AS invoices, sum(open_balance_clp) AS pesos
    FROM open_invoices
    GROUP BY issuer_rut, buyer_rut
)

SELECT
    l.row_key,
    l.account_rut AS issuer_rut,
    CASE
        WHEN l.known_folio IS NOT NULL THEN l.known_type
        WHEN d.named = 1 THEN d.named_type
        WHEN d.fit = 1 THEN d.one_type
    END AS dte_type,
    CASE
        WHEN l.known_folio IS NOT NULL THEN l.known_folio
        WHEN d.named = 1 THEN d.named_folio
        WHEN d.fit = 1 THEN d.one_folio
    END AS folio,
    'PAID' AS event,
    l.booked_on AS paid_on,
    'bank statement, line ' || l.line_id AS source,
    CASE
        WHEN l.known_folio IS NOT NULL OR d.named = 1 OR d.fit = 1 THEN NULL
        WHEN d.fit > 1
            THEN 'Several open invoices are of ' || l.amount || ' pesos (' || left(d.folios, 120)
            || '): write the folio into the description of the line.'
        WHEN o.invoices IS NOT NULL
            THEN 'No open invoice of ' || l.payer_rut || ' is of ' || l.amount
            || ' pesos; it owes ' || o.pesos || ' in ' || o.invoices || '.'
        WHEN l.payer_rut IS NOT NULL THEN 'Nothing is open of ' || l.payer_rut || '.'
        ELSE 'The bank names no payer, and no open invoice is of ' || l.amount || ' pesos.'
    END AS no_match
FROM lines AS l
LEFT JOIN decided AS d ON l.line_id = d.line_id
LEFT JOIN owed AS o ON l.account_rut = o.issuer_rut AND l.payer_rut = o.buyer_rut
ORDER BY l.booked_on, l.line_id

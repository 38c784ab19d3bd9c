-- Documents that could explain a difference in marts.book_reconciliation: rows left out of
-- the marts, documents counted in another month, in a month taken from their dates, without
-- pesos, or not in SII's register. A lead to follow, not a verdict.
-- company_rut: The user's company.
-- period: Month of the difference, YYYYMM.
-- operation: VENTA or COMPRA.
-- dte_type_code: SII document type.
-- reason: excluded_… (as in data_quality), duplicate, other_month, month_estimated, no_pesos or not_in_register.
-- issuer_rut: RUT of the issuer.
-- folio: Folio.
-- total_clp: Total, whole pesos; NULL when it cannot be said.
-- counted_in: Month in which the warehouse counts it; NULL when it does not.
-- explains_alone: Adding or taking this one document makes the totals equal.
-- docs_difference: Difference it could explain, in documents (ours less SII's).
-- total_difference: The same in whole pesos.
-- master_entity_id: Company of document_id.
-- document_type: issued or received.
-- document_id: Tu Pana's id of the document.
-- as_of: The day these figures are of, in Santiago.
WITH differing AS (
    SELECT * FROM marts.book_reconciliation WHERE status = 'differs'
),

counted AS (
    SELECT
        e.*,
        s.issuer_rut,
        s.folio,
        a.amount_clp AS total_clp
    FROM staging.book_entries AS e
    INNER JOIN staging.amounts AS a ON e.doc_key = a.doc_key
    INNER JOIN staging.sides AS s
        ON
            e.master_entity_id = s.master_entity_id
            AND e.document_type = s.document_type
            AND e.document_id = s.document_id
),

left_out AS (
    -- In whichever month SII may hold it: of its issue, its reception or the register's own.
    SELECT
        s.company_rut,
        m.month AS period,
        if(
            s.document_type = 'issued' AND s.dte_type_code <> '46', 'VENTA', 'COMPRA'
        ) AS operation,
        s.dte_type_code,
        coalesce('excluded_' || s.exclusion, 'duplicate') AS reason,
        s.issuer_rut,
        s.folio,
        if(coalesce(d.currency, 'CLP') = 'CLP', abs(s.amount), NULL)::BIGINT AS total_clp,
        NULL::VARCHAR AS counted_in,
        s.master_entity_id,
        s.document_type,
        s.document_id
    FROM staging.sides AS s
    INNER JOIN raw.documents AS d
        ON
            s.master_entity_id = d.master_entity_id
            AND s.document_type = d.document_type
            AND s.document_id = d.id
    CROSS JOIN LATERAL (
        SELECT strftime(d.date_issued, '%Y%m') AS month
        UNION
        SELECT strftime(timezone('America/Santiago', d.date_reception), '%Y%m')
        UNION
        SELECT json_extract_string(d.book_metadata, '$.compra_loading_period')
        WHERE s.document_type = 'received' OR s.dte_type_code = '46'
    ) AS m
    WHERE (s.exclusion IS NOT NULL OR s.newest > 1) AND m.month IS NOT NULL
),

leads AS (
    SELECT * FROM left_out
    UNION ALL
    -- Counted here, though one of its dates is of another month.
    SELECT
        company_rut, period, operation, dte_type_code,
        if(total_clp IS NULL, 'no_pesos',
            if(operation = 'COMPRA' AND period_source <> 'book', 'month_estimated', 'other_month')),
        issuer_rut, folio, total_clp, period, master_entity_id, document_type, document_id
    FROM counted
    WHERE
        total_clp IS NULL OR issue_period <> period OR reception_period <> period
        OR (operation = 'COMPRA' AND period_source <> 'book')
    UNION ALL
    -- Counted elsewhere, or nowhere, though one of its dates is of this month.
    SELECT
        c.company_rut, m.month, c.operation, c.dte_type_code,
        if(c.period IS NULL, 'not_in_register', 'other_month'),
        c.issuer_rut, c.folio, c.total_clp, c.period, c.master_entity_id, c.document_type,
        c.document_id
    FROM counted AS c
    CROSS JOIN LATERAL (
        SELECT c.issue_period AS month
        UNION
        SELECT c.reception_period
    ) AS m
    WHERE m.month IS NOT NULL AND m.month IS DISTINCT FROM c.period
)

SELECT
    l.company_rut,
    l.period,
    l.operation,
    l.dte_type_code,
    l.reason,
    l.issuer_rut,
    l.folio,
    l.total_clp,
    l.counted_in,
    -- Taken away when counted here, added when not.
    coalesce(
        d.total_difference = if(l.counted_in IS NOT DISTINCT FROM l.period, 1, -1) * l.total_clp
        AND d.docs_difference = if(l.counted_in IS NOT DISTINCT FROM l.period, 1, -1), false
    ) AS explains_alone,
    d.docs_difference,
    d.total_difference,
    l.master_entity_id,
    l.document_type,
    l.document_id,
    d.as_of
FROM leads AS l
INNER JOIN differing AS d
    ON
        l.company_rut = d.company_rut
        AND l.period = d.period
        AND l.operation = d.operation
        AND l.dte_type_code = d.dte_type_code

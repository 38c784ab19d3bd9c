-- The warehouse against SII: documents and totals by company, month, side of the book and
-- type, ours beside those of /book-summaries. Totals are positive for credit notes too.
-- company_rut: The user's company.
-- period: Month, YYYYMM; NULL for documents that no month can be given to.
-- operation: VENTA or COMPRA.
-- dte_type_code: SII document type.
-- docs_ours: Documents in the warehouse.
-- docs_sii: Documents in SII's book; 0 when the month's book lacks the type, NULL when no book of that month is in the data.
-- total_ours: Their total with IVA, whole pesos; without documents that cannot be said in pesos.
-- total_sii: SII's total, whole pesos; NULL likewise.
-- docs_difference: docs_ours less docs_sii.
-- total_difference: total_ours less total_sii.
-- docs_without_clp: Documents of ours in foreign currency without a rate.
-- docs_estimated: Documents of ours whose purchase month is from their dates, not from the book.
-- status: equal, differs or no_book.
-- scraped_at: When SII was last asked for the book.
-- as_of: The day these figures are of, in Santiago.
WITH ours AS (
    SELECT
        e.company_rut,
        e.period,
        e.operation,
        e.dte_type_code,
        count(*) AS docs,
        coalesce(sum(a.amount_clp), 0)::BIGINT AS total,
        count(*) FILTER (a.amount_clp IS NULL) AS docs_without_clp,
        count(*) FILTER (e.operation = 'COMPRA' AND e.period_source <> 'book') AS docs_estimated
    FROM staging.book_entries AS e
    INNER JOIN staging.amounts AS a ON e.doc_key = a.doc_key
    -- The register left it out, or its claim did.
    WHERE NOT (e.period_source IN ('book', 'claimed') AND e.period IS NULL)
    GROUP BY ALL
),

sii AS (
    SELECT
        c.rut AS company_rut,
        b.period,
        upper(b.operation) AS operation,
        b.dte_type_code,
        sum(b.total_docs)::BIGINT AS docs,
        -- The sign of credit notes in the book is the type's, here as in our amounts.
        sum(abs(b.total_amount))::DECIMAL(38, 0)::BIGINT AS total,
        max(b.scraped_at) AS scraped_at
    FROM raw.book_summaries AS b
    INNER JOIN staging.companies AS c ON b.master_entity_id = c.master_entity_id
    WHERE b._deleted_at IS NULL AND b.dte_type_code <> ''
    GROUP BY ALL
),

books AS (
    SELECT DISTINCT c.rut AS company_rut, b.period
    FROM raw.book_summaries AS b
    INNER JOIN staging.companies AS c ON b.master_entity_id = c.master_entity_id
    WHERE b._deleted_at IS NULL
),

compared AS (
    SELECT
        company_rut,
        period,
        operation,
        dte_type_code,
        coalesce(o.docs, 0) AS docs_ours,
        if(k.period IS NULL, NULL, coalesce(s.docs, 0)) AS docs_sii,
        coalesce(o.total, 0) AS total_ours,
        if(k.period IS NULL, NULL, coalesce(s.total, 0)) AS total_sii,
        coalesce(o.docs_without_clp, 0) AS docs_without_clp,
        coalesce(o.docs_estimated, 0) AS docs_estimated,
        s.scraped_at
    FROM ours AS o
    FULL JOIN sii AS s USING (company_rut, period, operation, dte_type_code)
    LEFT JOIN books AS k USING (company_rut, period)
)

SELECT
    c.company_rut,
    c.period,
    c.operation,
    c.dte_type_code,
    c.docs_ours,
    c.docs_sii,
    c.total_ours,
    c.total_sii,
    c.docs_ours - c.docs_sii AS docs_difference,
    c.total_ours - c.total_sii AS total_difference,
    c.docs_without_clp,
    c.docs_estimated,
    CASE
        WHEN c.docs_sii IS NULL THEN 'no_book'
        WHEN c.docs_ours = c.docs_sii AND c.total_ours = c.total_sii THEN 'equal'
        ELSE 'differs'
    END AS status,
    c.scraped_at,
    k.as_of
FROM compared AS c
CROSS JOIN staging.calendar AS k

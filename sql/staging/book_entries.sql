-- Every row of raw.documents that belongs in a book of its company, with the month and side
-- of the book. Sales: what the company issues, by month of issue (46 apart). Purchases: what
-- it receives, and the purchase invoices (46) it issues, in the month in which SII's register
-- took them in. Without that, by SII's own rule: an invoice on credit enters with its receipt
-- (ERM), else when the eight days to claim pass; a cash one and a note with its reception; a
-- claimed one and its notes never (DL 825 art. 23, Circular SII 35/2017). An estimate: the
-- register may have been told otherwise. Notes on a 46 stand where any note stands, by who
-- issued them; SII's register marks them, and marts.vat_monthly tells them apart.
-- Not in these books: dispatch notes (52), honorarios (80, 90), and 46 received.
-- company_rut: The user's company.
-- operation: VENTA or COMPRA.
-- period: Month, YYYYMM; NULL when the register left it out or no date is known.
-- period_source: book, claimed (left out for that), receipt (said or presumed), reception or issue.
-- in_book: The register has it; NULL when the API does not say and nothing was claimed.
-- dte_type_code: SII document type.
-- doc_key: Key of the document.
-- master_entity_id: Company of document_id.
-- document_type: issued or received.
-- document_id: Tu Pana's id of the document on this side.
-- issue_period: Month of issue.
-- reception_period: Month of SII's reception.
WITH rows AS (
    SELECT
        s.company_rut,
        s.doc_key,
        s.master_entity_id,
        s.document_type,
        s.document_id,
        s.dte_type_code,
        -- RCV: a 46 is in the purchases of who issues it.
        CASE
            WHEN s.document_type = 'issued' AND s.dte_type_code = '46' THEN 'COMPRA'
            WHEN s.document_type = 'issued' AND t.book_sign <> 0 AND NOT t.is_honorarios THEN 'VENTA'
            WHEN
                s.document_type = 'received' AND s.dte_type_code IN ('33', '34', '43', '56', '61')
                THEN 'COMPRA'
        END AS operation,
        strftime(d.date_issued, '%Y%m') AS issue_period,
        strftime(timezone('America/Santiago', d.date_reception), '%Y%m') AS reception_period,
        d.book_metadata IS NOT NULL AND json_type(d.book_metadata) = 'OBJECT' AS has_metadata,
        if(
            operation = 'COMPRA',
            json_extract_string(d.book_metadata, '$.compra_loading_period'),
            json_extract_string(d.book_metadata, '$.venta_loading_period')
        ) AS loading_period,
        if(
            operation = 'COMPRA',
            json_extract_string(d.book_metadata, '$.in_sii_compra_book'),
            json_extract_string(d.book_metadata, '$.in_sii_venta_book')
        ) = 'true' AS flag,
        operation = 'COMPRA' AND loading_period IS NULL AND flag IS NULL
        AND coalesce(e.acceptance = 'claimed', false) AS is_claimed,
        if(
            t.claimable AND NOT coalesce(b.payment_method = '1', false) AND NOT b.is_paid_cash
            AND NOT coalesce(v.is_cash, false),
            strftime(
                timezone('America/Santiago', coalesce(v.receipt_at, e.accept_deadline)), '%Y%m'
            ), NULL
        ) AS receipt_period
    FROM staging.sides AS s
    INNER JOIN raw.documents AS d
        ON
            s.master_entity_id = d.master_entity_id
            AND s.document_type = d.document_type
            AND s.document_id = d.id
    INNER JOIN ref.dte_types AS t ON s.dte_type_code = t.code
    INNER JOIN staging.both_sides AS b ON s.doc_key = b.doc_key
    INNER JOIN staging.parties AS p ON s.doc_key = p.doc_key
    -- A note shares the fate of the invoice that was claimed.
    INNER JOIN staging.terms AS e ON p.root_key = e.doc_key
    LEFT JOIN staging.events AS v ON s.doc_key = v.doc_key
    WHERE s.exclusion IS NULL AND s.newest = 1
)

SELECT
    company_rut,
    operation,
    CASE
        WHEN loading_period IS NOT NULL THEN loading_period
        WHEN flag = false OR is_claimed THEN NULL
        WHEN operation = 'VENTA' THEN issue_period
        ELSE coalesce(receipt_period, reception_period, issue_period)
    END AS period,
    CASE
        WHEN loading_period IS NOT NULL OR flag = false THEN 'book'
        WHEN is_claimed THEN 'claimed'
        WHEN operation = 'VENTA' THEN 'issue'
        WHEN receipt_period IS NOT NULL THEN 'receipt'
        WHEN reception_period IS NOT NULL THEN 'reception'
        ELSE 'issue'
    END AS period_source,
    CASE
        WHEN has_metadata THEN coalesce(flag, loading_period IS NOT NULL)
        WHEN is_claimed THEN false
    END AS in_book,
    dte_type_code,
    doc_key,
    master_entity_id,
    document_type,
    document_id,
    issue_period,
    reception_period
FROM rows
WHERE operation IS NOT NULL

-- Findings about rows of raw.documents: what stays out of the marts and why, documents that
-- are there twice on one side, sides that disagree, rows that are not the company's.
-- check_name: Name of the check.
-- severity: error, warning or info.
-- company_rut: The user's company.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- master_entity_id: Company of document_id.
-- document_type: issued or received: the side of document_id.
-- document_id: Tu Pana's id of the document.
-- message: What is wrong, in a sentence.
-- amount: The amount in question, in the currency of the document; NULL when there is none.
WITH excluded AS (
    SELECT
        'excluded_' || exclusion AS check_name,
        if(exclusion IN ('failed', 'sii_rejected', 'no_folio'), 'warning', 'info') AS severity,
        CASE exclusion
            WHEN 'deleted' THEN 'Gone from Tu Pana: kept in raw, out of the marts.'
            WHEN 'sandbox' THEN 'Sandbox document: SII never saw it.'
            WHEN 'draft' THEN 'Draft: not issued.'
            WHEN 'failed' THEN 'Its issue failed: it is no document.'
            WHEN 'sii_rejected' THEN 'SII rejected it: it is no document.'
            ELSE 'No folio: not issued, or not yet.'
        END AS message,
        s.*
    FROM staging.sides AS s
    WHERE exclusion IS NOT NULL
),

duplicates AS (
    SELECT
        'duplicate_document' AS check_name,
        'error' AS severity,
        'The same issuer, type and folio again under another id on the same side: counted once.'
            AS message,
        s.*
    FROM staging.sides AS s
    WHERE exclusion IS NULL AND newest > 1
),

differing AS (
    SELECT
        'sides_differ' AS check_name,
        'error' AS severity,
        'The two sides of this document show different totals; the issuer''s counts.' AS message,
        r.*
    FROM staging.sides AS i
    INNER JOIN staging.sides AS r ON i.doc_key = r.doc_key AND i.amount <> r.amount
    WHERE
        i.document_type = 'issued' AND i.exclusion IS NULL AND i.newest = 1
        AND r.document_type = 'received' AND r.exclusion IS NULL AND r.newest = 1
),

strangers AS (
    -- A filter that the API ignores shows here.
    SELECT
        'company_is_no_party' AS check_name,
        'error' AS severity,
        'Listed for company ' || c.rut || ', which is not on this side of it.' AS message,
        s.*
    FROM staging.sides AS s
    INNER JOIN staging.companies AS c
        ON s.master_entity_id = c.master_entity_id AND s.company_rut <> c.rut
    WHERE s.exclusion IS NULL AND s.newest = 1
)

SELECT
    check_name, severity, company_rut, issuer_rut, dte_type_code, folio, master_entity_id,
    document_type, document_id, message, amount
FROM (
    SELECT * FROM excluded
    UNION ALL
    SELECT * FROM duplicates
    UNION ALL
    SELECT * FROM differing
    UNION ALL
    SELECT * FROM strangers
)

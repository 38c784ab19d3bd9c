-- Findings about who and when: RUTs, dates.
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
WITH parties AS (
    SELECT *, issuer_rut AS rut, 'issuer' AS part FROM marts.documents
    UNION ALL
    SELECT *, if(seller_rut = issuer_rut, buyer_rut, seller_rut), 'receiver' FROM marts.documents
),

found AS (
    SELECT 'invalid_rut' AS check_name, 'warning' AS severity, d.*,
        'RUT ' || d.rut || ' of the ' || d.part
        || coalesce(' has a wrong check digit: ' || r.expected || '?', ' is no RUT.') AS message
    FROM parties AS d
    INNER JOIN staging.ruts AS r ON d.rut = r.rut
    WHERE NOT r.is_valid
    UNION ALL
    SELECT 'issuer_missing', 'error', *,
        'No RUT of the issuer: the document cannot be told from others.'
    FROM parties WHERE part = 'issuer' AND rut IS NULL
    UNION ALL
    SELECT 'no_date', 'error', *, 'No issue date: it cannot be due.'
    FROM parties WHERE part = 'issuer' AND date_issued IS NULL
    UNION ALL
    SELECT 'due_before_issue', 'warning', *,
        'Due ' || due_date || ', before its issue on ' || date_issued || '.'
    FROM parties WHERE part = 'issuer' AND due_date < date_issued
)

SELECT
    check_name, severity, company_rut, issuer_rut, dte_type_code, folio, master_entity_id,
    document_type, document_id, message, amount
FROM found

-- Findings about what others know of a document and the data do not hold, payments whose order
-- among the notes nobody knows, and rows of ref.collection_overrides that name no receivable.
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
WITH found AS (
    SELECT 'credit_note_not_in_data' AS check_name, 'warning' AS severity, d.*,
        'A credit note on it is known and is not in the data: the balance may be too high.'
            AS message, d.open_balance AS value
    FROM marts.documents AS d
    INNER JOIN staging.unseen AS u ON d.doc_key = u.doc_key AND u.credit_note
    UNION ALL
    -- Ley 19.983 art. 7: paying the seller would not settle the debt.
    SELECT 'cession_not_in_data', 'warning', d.*,
        'SII registered a cession (CED) that is not in the data: nobody says to whom it is owed.',
        d.open_balance
    FROM marts.documents AS d
    INNER JOIN staging.unseen AS u ON d.doc_key = u.doc_key AND u.cession
    WHERE NOT d.is_paid
    UNION ALL
    SELECT 'paid_before_or_after_note', 'info', d.*,
        'Marked as paid nobody knows when, and credited by notes: whether what was paid was less'
        || ' the notes or not is not known; it is taken to be less.',
        d.credit_amount
    FROM marts.documents AS d
    WHERE d.paid_at_source = 'unknown' AND d.credit_amount > 0 AND d.paid_amount > 0
),

strays AS (
    SELECT DISTINCT o.issuer_rut, o.dte_type_code, o.folio
    FROM ref.collection_overrides AS o
    ANTI JOIN marts.receivables AS r
        ON
            o.issuer_rut = r.issuer_rut
            AND o.dte_type_code = r.dte_type_code
            AND o.folio = r.folio
)

SELECT
    check_name, severity, company_rut, issuer_rut, dte_type_code, folio, master_entity_id,
    document_type, document_id, message, value::DECIMAL(18, 4) AS amount
FROM found
UNION ALL
SELECT
    'override_without_document', 'warning', NULL, issuer_rut, dte_type_code, folio, NULL, NULL,
    NULL, 'ref.collection_overrides names it and no receivable is it: the row does nothing.', NULL
FROM strays

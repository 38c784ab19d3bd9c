-- What is not as it should be, one row per finding, with the document it is about: rows left
-- out of the marts and why, sums that do not add up, notes without a target, invalid RUTs.
-- Severity error means the figures may be wrong, warning look at it, info nothing is silent.
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
-- as_of: The day of the findings, in Santiago.
SELECT
    check_name,
    severity,
    company_rut,
    issuer_rut,
    dte_type_code,
    folio,
    master_entity_id,
    document_type,
    document_id,
    -- Whole amounts without their four decimals.
    regexp_replace(message, '([0-9])[.]0000\b', '\1', 'g') AS message,
    amount,
    getvariable('as_of') AS as_of
FROM (
    SELECT * FROM staging.quality_rows
    UNION ALL
    SELECT * FROM staging.quality_amounts
    UNION ALL
    SELECT * FROM staging.quality_notes
    UNION ALL
    SELECT * FROM staging.quality_parties
    UNION ALL
    SELECT * FROM staging.quality_unseen
)

-- Receivables that the user's companies ceded and SII registered, by document: who holds
-- them, what the debtor still owes there. Whether a cession was a sale, with or without
-- recourse, or a mandate to collect, is in the contract and not in SII's register: where
-- there is recourse (the norm in Chile), outstanding_clp is a contingent debt to the factor.
-- company_rut: The user's company: the seller.
-- assignee_rut: Who holds the credit.
-- assignee_name: Its name.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- counterparty_rut: RUT of the debtor.
-- counterparty_name: Its name.
-- date_issued: Issue date.
-- due_date: When it is to be paid.
-- ceded_at: When SII registered the cession that holds.
-- sequence: Its place among the cessions of the document, derived from their order.
-- total_clp: Total of the document, whole pesos.
-- ceded_clp: Amount ceded, whole pesos; NULL when not said.
-- outstanding_clp: Part of it that the debtor still owes, as far as our payment mark says.
-- open_balance_clp: What was not ceded and is still owed to us.
-- status: outstanding, overdue, claimed or settled.
-- days_overdue: Days past due; negative before.
-- has_recourse: Always NULL: the contract says it, the data do not.
-- acceptance: claimed, accepted_express, accepted_tacit or pending.
-- document_id: Tu Pana's id.
-- as_of: The day these figures are of, in Santiago.
SELECT
    r.company_rut,
    r.assignee_rut,
    c.assignee_name,
    r.issuer_rut,
    r.dte_type_code,
    r.folio,
    r.counterparty_rut,
    r.counterparty_name,
    r.date_issued,
    r.due_date,
    c.ceded_at,
    c.sequence,
    r.total_clp,
    c.amount_clp AS ceded_clp,
    r.ceded_amount::BIGINT AS outstanding_clp,
    r.open_balance_clp,
    CASE
        WHEN r.ceded_amount = 0 THEN 'settled'
        WHEN r.is_claimed THEN 'claimed'
        WHEN r.days_overdue > 0 THEN 'overdue'
        ELSE 'outstanding'
    END AS status,
    r.days_overdue,
    NULL::BOOLEAN AS has_recourse,
    r.acceptance,
    r.document_id,
    r.as_of
FROM marts.receivables AS r
INNER JOIN marts.cessions AS c ON r.doc_key = c.doc_key AND c.is_current
WHERE r.is_ceded

-- Open debts that must not be paid to the supplier: it ceded them, and the debtor owes the
-- assignee (Ley 19.983 art. 7). A payment to the supplier does not discharge the debt. Where
-- SII says ceded (CED) and the cession is not in the data (contract 2026-04 lists none that was
-- received), the row is here without assignee: ask SII before paying.
-- company_rut: The user's company: the debtor.
-- assignee_rut: Who must be paid; NULL when the data do not say.
-- assignee_name: Its name.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- seller_rut: RUT of the supplier that ceded it.
-- seller_name: Its name.
-- date_issued: Issue date.
-- due_date: When it is to be paid.
-- ceded_at: When SII registered the last cession.
-- cessions: How many cessions of it are in the data.
-- balance_to_assignee_clp: To pay to the assignee, whole pesos; NULL when the data do not say.
-- balance_to_seller_clp: What was not ceded and is still owed to the supplier; NULL likewise.
-- open_balance_clp: What is left to pay in all, whole pesos.
-- days_overdue: Days past due; negative before.
-- bucket: not_due, 1-30, 31-60, 61-90 or 90+ days past due.
-- is_claimed: We claimed it.
-- document_id: Tu Pana's id.
-- master_entity_id: Company of document_id.
-- as_of: The day these figures are of, in Santiago.
WITH steps AS (
    SELECT doc_key, max(moment) AS ceded_at, count(*) AS cessions
    FROM staging.cession_steps
    WHERE is_success AND doc_key IS NOT NULL
    GROUP BY doc_key
)

SELECT
    p.company_rut,
    p.assignee_rut,
    p.assignee_name,
    p.issuer_rut,
    p.dte_type_code,
    p.folio,
    p.seller_rut,
    p.seller_name,
    p.date_issued,
    p.due_date,
    coalesce(s.ceded_at, v.ceded_at) AS ceded_at,
    coalesce(s.cessions, 0) AS cessions,
    if(p.is_ceded, p.balance_to_assignee_clp, NULL) AS balance_to_assignee_clp,
    if(p.is_ceded, p.open_balance_clp - p.balance_to_assignee_clp, NULL)::BIGINT
        AS balance_to_seller_clp,
    p.open_balance_clp,
    p.days_overdue,
    p.bucket,
    p.is_claimed,
    p.document_id,
    p.master_entity_id,
    p.as_of
FROM marts.payables AS p
LEFT JOIN steps AS s ON p.doc_key = s.doc_key
LEFT JOIN staging.unseen AS u ON p.doc_key = u.doc_key
LEFT JOIN staging.events AS v ON p.doc_key = v.doc_key
WHERE
    (p.is_ceded AND p.ceded_amount > 0)
    OR (coalesce(u.cession, false) AND p.bucket IS NOT NULL)

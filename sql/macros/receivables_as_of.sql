-- marts.receivables at the end of any day, with the basis on which that day is known.
-- $on_day: The day, in Santiago; a date or its text.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio, as text.
-- company_rut: The user's company: the seller.
-- seller_rut: RUT of the seller, the same company.
-- buyer_rut: RUT of the buyer: who owes it.
-- buyer_name: Name of the buyer.
-- counterparty_rut: RUT of the buyer, as in the other marts.
-- counterparty_name: Name of the buyer, as in the other marts.
-- counterparty_is_own: The buyer is a company of the user too.
-- book_sign: +1 for what is owed to us, -1 for credit notes.
-- date_issued: Issue date on the document.
-- due_date: When it is to be paid.
-- due_date_source: document, reception+30 (Ley 21.131) or issue+30.
-- currency: Currency of the amounts without _clp.
-- amount: Total.
-- retention_amount: Fee withheld by the payer (80, 90).
-- withheld_iva_amount: IVA inside amount that the buyer withholds (46).
-- credit_amount: Credit notes whose chain ends here.
-- debit_amount: Debit notes whose chain ends here.
-- paid_amount: Settled, by payment or at issue.
-- ceded_amount: Part still owed that belongs to the assignee.
-- open_balance: What is left to collect.
-- total_clp: Total in whole pesos; NULL for foreign currency without a rate.
-- open_balance_clp: What is left to collect in whole pesos; NULL for an open foreign balance
--   without a rate.
-- unapplied_credit_clp: Credit of the customer beyond what it could be applied to, whole pesos;
--   NULL without a rate.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- is_claimed: The buyer claimed it: still open, and disputed.
-- is_ceded: Ceded, registered by SII, and not ceded back.
-- assignee_rut: Who holds the credit.
-- assignee_name: Its name.
-- is_paid: Marked as paid by the seller.
-- is_partially_paid: Marked as partially paid.
-- paid_at: When it was paid; NULL when nobody knows.
-- paid_at_source: event, outbox, webhook, observed or unknown, as in marts.documents; NULL when
-- not paid.
-- is_closed_at_issue: Cash, free or receipt: no debt remains.
-- status: open, partially_paid, paid, closed_at_issue, ceded, credited (by notes) or applied (a
--   note that moved to its root).
-- is_estimated: Notes over several documents touch it: the split is an estimate.
-- root_dte_type_code: For a note: type of the document it ends at.
-- root_folio: For a note: folio of that document.
-- has_target: For a note: that document is in the data.
-- days_overdue: Days past due at as_of; negative before.
-- bucket: not_due, 1-30, 31-60, 61-90 or 90+ days past due; NULL when nothing is open.
-- doc_key: issuer|type|folio in one text, for joins.
-- document_id: Tu Pana's id.
-- master_entity_id: Company of document_id.
-- basis: How well that day is known: observed (the document was in the data by then), dated (it was
--   not, but its payment has a date of its own, or it was still unpaid when first seen) or
--   before_first_sync (already paid when first seen, nobody knows since when: shown as paid).
-- as_of: The day these figures are of, in Santiago.
SELECT
    issuer_rut,
    dte_type_code,
    folio,
    company_rut,
    seller_rut,
    buyer_rut,
    buyer_name,
    counterparty_rut,
    counterparty_name,
    counterparty_is_own,
    book_sign,
    date_issued,
    due_date,
    due_date_source,
    currency,
    amount,
    retention_amount,
    withheld_iva_amount,
    credit_amount,
    debit_amount,
    paid_amount,
    ceded_amount,
    open_balance,
    total_clp,
    open_balance_clp,
    unapplied_credit_clp,
    acceptance,
    is_claimed,
    is_ceded,
    assignee_rut,
    assignee_name,
    is_paid,
    is_partially_paid,
    paid_at,
    paid_at_source,
    is_closed_at_issue,
    status,
    is_estimated,
    root_dte_type_code,
    root_folio,
    has_target,
    days_overdue,
    bucket,
    doc_key,
    document_id,
    master_entity_id,
    basis,
    as_of
FROM marts.open_items_as_of(on_day)
WHERE role = 'seller'

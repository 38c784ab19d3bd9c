-- What the user's companies are owed, document by document, closed ones too (balance 0).
-- Balance = total − retention or withheld IVA − credit + debit − paid − ceded, floor at 0.
-- Notes are rows as well, with balance 0 once their amount has moved to the document they
-- end at; a note whose document is not in the data keeps it: a debit as balance, a credit as
-- unapplied credit. Claimed documents stay open. Receipts (39, 41), cash (1) and free (3)
-- documents are closed at issue; dispatch notes (52) are no debt and not here.
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
-- open_balance_clp: What is left to collect in whole pesos; NULL for an open foreign balance without a rate.
-- unapplied_credit_clp: Credit of the customer beyond what it could be applied to, whole pesos; NULL without a rate.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- is_claimed: The buyer claimed it: still open, and disputed.
-- is_ceded: Ceded, registered by SII, and not ceded back.
-- assignee_rut: Who holds the credit.
-- is_paid: Marked as paid by the seller.
-- is_partially_paid: Marked as partially paid.
-- paid_at: When it was paid; NULL when nobody knows.
-- paid_at_source: event, observed or unknown; NULL when not paid.
-- is_closed_at_issue: Cash, free or receipt: no debt remains.
-- status: open, partially_paid, paid, closed_at_issue, ceded, credited (by notes) or applied (a note that moved to its root).
-- is_estimated: Notes over several documents touch it: the split is an estimate.
-- root_dte_type_code: For a note: type of the document it ends at.
-- root_folio: For a note: folio of that document.
-- has_target: For a note: that document is in the data.
-- days_overdue: Days past due at as_of; negative before.
-- bucket: not_due, 1-30, 31-60, 61-90 or 90+ days past due; NULL when nothing is open.
-- document_id: Tu Pana's id.
-- master_entity_id: Company of document_id.
-- as_of: The day these figures are of, in Santiago.
SELECT
    d.issuer_rut,
    d.dte_type_code,
    d.folio,
    d.company_rut,
    d.seller_rut,
    d.buyer_rut,
    d.buyer_name,
    d.counterparty_rut,
    d.counterparty_name,
    d.counterparty_is_own,
    d.book_sign,
    d.date_issued,
    d.due_date,
    d.due_date_source,
    d.currency,
    d.amount,
    d.retention_amount,
    d.withheld_iva_amount,
    d.credit_amount,
    d.debit_amount,
    d.paid_amount,
    d.ceded_amount,
    d.open_balance,
    d.total_clp,
    d.open_balance_clp,
    if(
        d.unapplied_credit = 0, 0, round(d.unapplied_credit::DECIMAL(28, 4) * d.exchange_rate, 0)
    )::BIGINT AS unapplied_credit_clp,
    d.acceptance,
    coalesce(d.acceptance = 'claimed', false) AS is_claimed,
    d.is_ceded,
    d.assignee_rut,
    d.is_paid,
    d.is_partially_paid,
    d.paid_at,
    d.paid_at_source,
    d.is_closed_at_issue,
    CASE
        WHEN d.is_closed_at_issue THEN 'closed_at_issue'
        WHEN d.is_paid THEN 'paid'
        WHEN d.open_balance > 0 AND d.is_partially_paid THEN 'partially_paid'
        WHEN d.open_balance > 0 OR d.open_balance IS NULL THEN 'open'
        WHEN d.is_ceded AND d.ceded_amount > 0 THEN 'ceded'
        WHEN d.has_target THEN 'applied'
        WHEN d.is_partially_paid THEN 'paid'
        ELSE 'credited'
    END AS status,
    d.is_estimated,
    d.root_dte_type_code,
    d.root_folio,
    d.has_target,
    (d.as_of - d.due_date)::INTEGER AS days_overdue,
    -- Usual Chilean cut; the due day itself is in time. A document without any date cannot be
    -- late.
    CASE
        WHEN coalesce(d.open_balance, 1) = 0 THEN NULL
        WHEN coalesce(d.as_of - d.due_date, 0) <= 0 THEN 'not_due'
        WHEN d.as_of - d.due_date <= 30 THEN '1-30'
        WHEN d.as_of - d.due_date <= 60 THEN '31-60'
        WHEN d.as_of - d.due_date <= 90 THEN '61-90'
        ELSE '90+'
    END AS bucket,
    d.document_id,
    d.master_entity_id,
    d.as_of
FROM marts.documents AS d
WHERE d.ar_ap = 'AR'

-- What is owed to and by the user's companies at the end of a day, document by document, closed
-- ones too. Issue, notes, payment events and cessions count from their own date, payment marks
-- from the sync that first saw them; amounts and parties are as known today. A later day than
-- that of the tables shows their balances with that day's lateness.
-- $on_day: The day, in Santiago; a date or its text.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio, as text.
-- role: seller (a receivable) or buyer (a payable).
-- company_rut: The user's company: the seller of a receivable, the buyer of a payable.
-- seller_rut: RUT of the seller: who is owed the money.
-- seller_name: Name of the seller.
-- buyer_rut: RUT of the buyer: who owes it.
-- buyer_name: Name of the buyer.
-- counterparty_rut: RUT of the other party.
-- counterparty_name: Name of the other party.
-- counterparty_is_own: The other party is a company of the user too.
-- book_sign: +1 for what is owed, -1 for credit notes.
-- date_issued: Issue date on the document.
-- due_date: When it is to be paid.
-- due_date_source: document, reception+30 (Ley 21.131) or issue+30.
-- currency: Currency of the amounts without _clp.
-- exchange_rate: Pesos per unit of currency, from the document; 1 for pesos.
-- amount: Total.
-- retention_amount: Fee withheld by the payer (80, 90).
-- withheld_iva_amount: IVA inside amount that the buyer withholds (46).
-- credit_amount: Credit notes whose chain ends here.
-- debit_amount: Debit notes whose chain ends here.
-- paid_amount: Settled, by payment or at issue.
-- ceded_amount: Part still owed that belongs to the assignee.
-- open_balance: What is left to collect or to pay.
-- total_clp: Total in whole pesos; NULL for foreign currency without a rate.
-- open_balance_clp: The same in whole pesos; NULL for an open foreign balance without a rate.
-- unapplied_credit_clp: Credit beyond what it could be applied to, whole pesos; NULL without a
--   rate.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- is_claimed: The buyer claimed it: still open, and disputed.
-- is_ceded: Ceded, registered by SII, and not ceded back.
-- assignee_rut: Who holds the credit.
-- assignee_name: Its name.
-- is_paid: Marked as paid by the company.
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
-- document_id: Tu Pana's id on the company's side, else on the other.
-- master_entity_id: Company of document_id.
-- basis: How well that day is known: observed (the document was in the data by then), dated (it was
--   not, but its payment has a date of its own, or it was still unpaid when first seen) or
--   before_first_sync (already paid when first seen, nobody knows since when: shown as paid).
-- as_of: The day these figures are of, in Santiago.
SELECT
    d.issuer_rut,
    d.dte_type_code,
    d.folio,
    b.role,
    b.company_rut,
    d.seller_rut,
    d.seller_name,
    d.buyer_rut,
    d.buyer_name,
    if(b.role = 'seller', d.buyer_rut, d.seller_rut) AS counterparty_rut,
    if(b.role = 'seller', d.buyer_name, d.seller_name) AS counterparty_name,
    d.counterparty_is_own,
    d.book_sign,
    d.date_issued,
    d.due_date,
    d.due_date_source,
    d.currency,
    d.exchange_rate,
    d.amount,
    d.retention_amount,
    d.withheld_iva_amount,
    b.credit_amount,
    b.debit_amount,
    b.paid_amount,
    b.ceded_amount,
    b.open_balance,
    d.total_clp,
    if(
        b.open_balance = 0, 0, round(b.open_balance::DECIMAL(28, 4) * d.exchange_rate, 0)
    )::BIGINT AS open_balance_clp,
    if(
        b.unapplied_credit = 0, 0, round(b.unapplied_credit::DECIMAL(28, 4) * d.exchange_rate, 0)
    )::BIGINT AS unapplied_credit_clp,
    b.acceptance,
    coalesce(b.acceptance = 'claimed', false) AS is_claimed,
    b.is_ceded,
    b.assignee_rut,
    b.assignee_name,
    b.is_paid,
    b.is_partially_paid,
    b.paid_at,
    b.paid_at_source,
    d.is_closed_at_issue,
    CASE
        -- Paid or cash, and a debit note came after.
        WHEN
            b.open_balance > 0
            AND (b.is_partially_paid OR b.is_paid OR d.is_closed_at_issue)
            THEN 'partially_paid'
        WHEN d.is_closed_at_issue THEN 'closed_at_issue'
        WHEN b.is_paid THEN 'paid'
        WHEN b.open_balance > 0 OR b.open_balance IS NULL THEN 'open'
        WHEN b.is_ceded AND b.ceded_amount > 0 THEN 'ceded'
        WHEN d.has_target THEN 'applied'
        WHEN b.is_partially_paid THEN 'paid'
        ELSE 'credited'
    END AS status,
    d.is_estimated,
    d.root_dte_type_code,
    d.root_folio,
    d.has_target,
    (b.as_of - d.due_date)::INTEGER AS days_overdue,
    -- Usual Chilean cut; the due day itself is in time. A document without any date cannot be
    -- late.
    CASE
        WHEN coalesce(b.open_balance, 1) = 0 THEN NULL
        WHEN coalesce(days_overdue, 0) <= 0 THEN 'not_due'
        WHEN days_overdue <= 30 THEN '1-30'
        WHEN days_overdue <= 60 THEN '31-60'
        WHEN days_overdue <= 90 THEN '61-90'
        ELSE '90+'
    END AS bucket,
    d.doc_key,
    b.document_id,
    b.master_entity_id,
    b.basis,
    b.as_of
FROM marts.documents AS d
INNER JOIN marts.balances_as_of(on_day) AS b ON d.doc_key = b.doc_key
WHERE d.book_sign <> 0

-- What is still owed on each document today, once per side that is ours (the present row of
-- staging.balance_periods, with what does not change through time).
-- doc_key: Key of the document.
-- role: seller or buyer.
-- credit: Credit notes that end here.
-- debit: Debit notes that end here.
-- unapplied_credit: Credit that exceeds what it could be applied to.
-- due: What was to be paid after notes.
-- is_closed_at_issue: Cash (1), free (3), paid in cash at SII, or a receipt (39, 41).
-- is_paid: Marked as paid by the company whose row this is.
-- is_partial: Marked as partially paid by it.
-- paid: Amount settled, by payment or at issue.
-- owed: What the buyer still owes, to whomever holds the credit.
-- is_ceded: Ceded, registered by SII, and not ceded back to the seller.
-- ceded: Part of owed that belongs to the assignee.
-- assignee_rut: Who holds the credit, when ceded.
-- assignee_name: Its name.
-- open_balance: What this side still has to collect (seller) or to pay (buyer).
-- estimated: Some of the notes' amounts are an estimated split.
-- payment_at: Time of the payment event or of its first sight; NULL when unknown.
-- payment_source: event, observed or unknown; NULL when not paid.
WITH estimates AS (
    SELECT root_key, bool_or(is_estimated) AS is_estimated
    FROM staging.note_flows
    GROUP BY root_key
)

SELECT
    b.doc_key,
    b.role,
    b.credit,
    b.debit,
    b.unapplied_credit,
    b.due,
    p.is_closed_at_issue,
    b.is_paid,
    b.is_partial,
    b.paid,
    b.owed,
    b.is_ceded,
    b.ceded,
    b.assignee_rut,
    b.assignee_name,
    b.open_balance,
    coalesce(e.is_estimated, false) AS estimated,
    p.payment_at,
    p.payment_source
FROM staging.balance_periods AS b
INNER JOIN staging.positions AS p ON b.doc_key = p.doc_key AND b.role = p.role
LEFT JOIN estimates AS e ON b.doc_key = e.root_key
WHERE b.to_day IS NULL

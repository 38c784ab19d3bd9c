-- Every position (a document as one of its sides holds it) at the end of a day.
-- $on_day: The day, in Santiago; a date or its text.
-- doc_key: issuer|type|folio in one text, for joins.
-- role: seller (a receivable) or buyer (a payable).
-- company_rut: The user's company in that role.
-- credit_amount: Credit notes whose chain ends here.
-- debit_amount: Debit notes whose chain ends here.
-- paid_amount: Settled, by payment or at issue.
-- ceded_amount: Part still owed that belongs to the assignee.
-- open_balance: What is left to collect or to pay, in the document's currency.
-- unapplied_credit: Credit beyond what it could be applied to.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- is_ceded: Ceded, registered by SII, and not ceded back.
-- assignee_rut: Who holds the credit.
-- assignee_name: Its name.
-- is_paid: Marked as paid by the company.
-- is_partially_paid: Marked as partially paid.
-- paid_at: When it was paid; NULL when nobody knows.
-- paid_at_source: event, outbox, webhook, observed or unknown, as in marts.documents; NULL when
-- not paid.
-- document_id: Tu Pana's id on the company's side, else on the other.
-- master_entity_id: Company of document_id.
-- basis: How well that day is known, as in marts.receivables_as_of.
-- as_of: The day these figures are of.
SELECT
    b.doc_key,
    b.role,
    p.company_rut,
    b.credit AS credit_amount,
    b.debit AS debit_amount,
    b.paid AS paid_amount,
    b.ceded AS ceded_amount,
    b.open_balance,
    b.unapplied_credit,
    -- Ley 19.983 art. 3. A claim or receipt that nobody dates is taken as there from the issue.
    CASE
        WHEN t.acceptance IS NULL OR on_day::DATE = c.as_of THEN t.acceptance
        WHEN
            t.acceptance = 'claimed'
            AND coalesce(timezone('America/Santiago', t.claimed_at)::DATE <= on_day::DATE, true)
            THEN 'claimed'
        WHEN
            (t.acceptance = 'accepted_express' OR t.accepted_at IS NOT NULL)
            AND coalesce(timezone('America/Santiago', t.accepted_at)::DATE <= on_day::DATE, true)
            THEN 'accepted_express'
        WHEN timezone('America/Santiago', (on_day::DATE + 1)::TIMESTAMP) > t.accept_deadline
            THEN 'accepted_tacit'
        ELSE 'pending'
    END AS acceptance,
    b.is_ceded,
    b.assignee_rut,
    b.assignee_name,
    b.is_paid,
    b.is_partial AND NOT b.is_paid AS is_partially_paid,
    if(b.is_paid, p.payment_at, NULL) AS paid_at,
    if(b.is_paid, p.payment_source, NULL) AS paid_at_source,
    p.speaker_id AS document_id,
    p.speaker_entity_id AS master_entity_id,
    CASE
        WHEN p.seen_day <= on_day::DATE OR on_day::DATE >= c.as_of THEN 'observed'
        WHEN NOT b.is_paid OR p.payment_source IN ('event', 'observed') THEN 'dated'
        ELSE 'before_first_sync'
    END AS basis,
    on_day::DATE AS as_of
FROM staging.balance_periods AS b
CROSS JOIN staging.calendar AS c
INNER JOIN staging.positions AS p ON b.doc_key = p.doc_key AND b.role = p.role
INNER JOIN staging.terms AS t ON b.doc_key = t.doc_key
WHERE b.from_day <= on_day::DATE AND coalesce(b.to_day > on_day::DATE, true)

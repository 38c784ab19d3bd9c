-- What is still owed on each document: total − retention or withheld IVA − credit + debit
-- − paid − ceded, in the document's currency. Never below zero: credit beyond the document
-- is kept apart. A note that reaches another document has moved its amount there.
-- doc_key: Key of the document.
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
-- open_balance: What our side still has to collect (AR) or to pay (AP).
-- estimated: Some of the notes' amounts are an estimated split.
-- payment_at: Time of the payment event or of its first sight; NULL when unknown.
-- payment_source: event, observed or unknown; NULL when not paid.
WITH ends AS (
    SELECT
        root_key,
        sum(amount) FILTER (book_sign < 0) AS credit,
        sum(amount) FILTER (book_sign > 0) AS debit,
        bool_or(is_estimated) AS estimated
    FROM staging.note_flows
    GROUP BY root_key
),

gathered AS (
    SELECT
        p.doc_key,
        p.our_role,
        p.seller_rut,
        p.has_target IS NOT NULL AS is_note,
        p.book_sign,
        a.amount_currency,
        coalesce(e.credit, 0) AS credit,
        coalesce(e.debit, 0) AS debit,
        coalesce(e.estimated, false) AS estimated,
        -- A note's own amount is among the ends already: whole, in part or not at all.
        (if(p.has_target IS NULL, a.collectible, if(a.amount IS NULL, NULL, 0))
        + coalesce(e.debit, 0) - coalesce(e.credit, 0))::DECIMAL(18, 4) AS net,
        -- Oficio SII 116/2020: contado is paid at issue. Free documents and receipts too.
        coalesce(b.payment_method IN ('1', '3'), false) OR b.is_paid_cash
        OR coalesce(v.is_cash, false) OR coalesce(t.is_receipt, false)
        -- An annulled fee receipt has no credit note: its state is all that tells.
        OR coalesce(
            t.is_honorarios AND b.state IN ('cancelled', 'annulled', 'voided', 'anulada'), false
        ) AS is_closed_at_issue,
        -- Each company marks its own payments; the other side's mark stands in for a side
        -- that is not in the data.
        p.seller_is_issuer = (p.our_role = 'seller') AS by_issuer,
        if(by_issuer, coalesce(b.issued_is_paid, b.received_is_paid),
            coalesce(b.received_is_paid, b.issued_is_paid)) AS is_paid,
        if(by_issuer, coalesce(b.issued_is_partial, b.received_is_partial),
            coalesce(b.received_is_partial, b.issued_is_partial)) AS is_partial,
        if(by_issuer, if(b.issued_id IS NULL, b.received_pending, b.issued_pending),
            if(b.received_id IS NULL, b.issued_pending, b.received_pending)) AS pending,
        if(by_issuer, coalesce(v.issued_paid_at, v.received_paid_at),
            coalesce(v.received_paid_at, v.issued_paid_at)) AS event_at,
        if(by_issuer, coalesce(s.issued_seen_at, s.received_seen_at),
            coalesce(s.received_seen_at, s.issued_seen_at)) AS seen_at,
        c.doc_key IS NOT NULL AND c.ceded_at IS NOT NULL AS was_ceded,
        -- Ceded back to the seller: the credit is the seller's again. Some answers carry the
        -- assignee's RUT without its check digit.
        coalesce(
            replace(c.assignee_rut, '-', '')
            IN (replace(p.seller_rut, '-', ''), split_part(p.seller_rut, '-', 1)), false
        ) AS is_back,
        c.ceded_clp
    FROM staging.parties AS p
    INNER JOIN staging.both_sides AS b ON p.doc_key = b.doc_key
    INNER JOIN staging.amounts AS a ON p.doc_key = a.doc_key
    LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code
    LEFT JOIN ends AS e ON p.doc_key = e.root_key
    LEFT JOIN staging.events AS v ON p.doc_key = v.doc_key
    LEFT JOIN staging.payments_seen AS s ON p.doc_key = s.doc_key
    LEFT JOIN staging.cessions AS c ON p.doc_key = c.doc_key
),

settled AS (
    SELECT
        *,
        greatest(net, 0)::DECIMAL(18, 4) AS due,
        was_ceded AND NOT is_back AS is_ceded,
        CASE
            WHEN book_sign = 0 OR is_closed_at_issue OR is_paid THEN 0
            -- What the API says is left, never more than the documents leave.
            WHEN is_partial AND net IS NOT NULL THEN least(coalesce(pending, net), greatest(net, 0))
            WHEN is_partial THEN pending
            WHEN net IS NOT NULL THEN greatest(net, 0)
        END::DECIMAL(18, 4) AS owed
    FROM gathered
),

split AS (
    -- Ley 19.983 art. 7: from its registration on, the debtor owes the assignee.
    SELECT *, if(is_ceded, least(coalesce(ceded_clp, owed), owed), 0)::DECIMAL(18, 4) AS ceded
    FROM settled
)

SELECT
    doc_key,
    credit::DECIMAL(18, 4) AS credit,
    debit::DECIMAL(18, 4) AS debit,
    if(book_sign = 0, 0, greatest(-net, 0))::DECIMAL(18, 4) AS unapplied_credit,
    due,
    is_closed_at_issue,
    is_paid,
    is_partial,
    greatest(due - owed, 0)::DECIMAL(18, 4) AS paid,
    owed,
    is_ceded,
    ceded,
    (owed - if(our_role = 'seller', ceded, 0))::DECIMAL(18, 4) AS open_balance,
    estimated,
    if(is_paid, coalesce(event_at, seen_at), NULL) AS payment_at,
    CASE
        WHEN NOT is_paid THEN NULL
        WHEN event_at IS NOT NULL THEN 'event'
        WHEN seen_at IS NOT NULL THEN 'observed'
        ELSE 'unknown'
    END AS payment_source
FROM split

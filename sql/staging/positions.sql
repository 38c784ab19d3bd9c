-- Each document as each of its sides that is ours holds it: the seller as a receivable, the
-- buyer as a debt. A document between two of the user's companies has two positions, each
-- with its own payment mark. What is dated after the day of the figures counts as that day.
-- doc_key: Key of the document.
-- role: seller or buyer.
-- company_rut: The user's company in that role.
-- base: What the document itself is worth before notes; 0 for a note, whose amount is a flow.
-- book_sign: +1, -1 or 0.
-- is_closed_at_issue: Cash (1), free (3), paid in cash at SII, or a receipt (39, 41).
-- start_day: Day of issue; of its reception or first sight where none is given.
-- seen_day: Day of the first sync that showed it on this side.
-- is_paid: This side marked it as paid.
-- is_partial: This side marked it as partially paid.
-- pending: What this side says is left of a partial payment.
-- payment_at: When it was paid, as its source says; NULL when unknown.
-- payment_source: Who says when, the first of these that does: event (of the API, but not the one
-- that our own booking made: it has the time of the booking), outbox (booked from here: the day
-- of the payment in the row), webhook (that announced it, unless the mark was seen before),
-- observed (first seen paid between two syncs), unknown; NULL when not paid.
-- speaker_type: issued or received: the side whose row speaks.
-- speaker_entity_id: Company of that row.
-- speaker_id: Document id of that row.
WITH roles AS (
    SELECT p.*, 'seller' AS role, p.seller_rut AS company_rut
    FROM staging.parties AS p WHERE p.our_role = 'seller'
    UNION ALL
    SELECT p.*, 'buyer', p.buyer_rut
    FROM staging.parties AS p WHERE p.our_role = 'buyer' OR p.buyer_is_own
),

first_seen AS (
    SELECT master_entity_id, document_type, id, min(valid_from) AS seen_at
    FROM history.documents
    GROUP BY ALL
),

spoken AS (
    SELECT
        p.doc_key,
        p.role,
        p.company_rut,
        p.book_sign,
        -- A note's own amount is among the flows: whole, in part or not at all.
        if(p.has_target IS NULL, a.collectible, if(a.amount IS NULL, NULL, 0))::DECIMAL(18, 4)
            AS base,
        -- Oficio SII 116/2020: contado is paid at issue. Free documents and receipts too.
        coalesce(b.payment_method IN ('1', '3'), false) OR b.is_paid_cash
        OR coalesce(v.is_cash, false) OR coalesce(t.is_receipt, false)
        OR coalesce(t.is_honorarios AND b.is_voided, false) AS is_closed_at_issue,
        -- Each company marks its own payments; the other side's mark stands in for a side
        -- that is not in the data.
        p.seller_is_issuer = (p.role = 'seller') AS by_issuer,
        if(by_issuer, b.issued_id IS NOT NULL, b.received_id IS NULL) AS issuer_speaks,
        if(issuer_speaks, b.issued_is_paid, b.received_is_paid) AS is_paid,
        if(issuer_speaks, b.issued_is_partial, b.received_is_partial) AS is_partial,
        if(issuer_speaks, b.issued_pending, b.received_pending) AS pending,
        if(by_issuer, coalesce(v.issued_paid_at, v.received_paid_at),
            coalesce(v.received_paid_at, v.issued_paid_at)) AS event_at,
        if(by_issuer, coalesce(s.issued_seen_at, s.received_seen_at),
            coalesce(s.received_seen_at, s.issued_seen_at)) AS seen_paid_at,
        -- A payment's own side first, then the other one, as of events.
        if(g.paid_on IS NULL, h.paid_on, g.paid_on) AS paid_on,
        if(g.paid_on IS NULL, h.booked_from, g.booked_from) AS booked_from,
        if(g.paid_on IS NULL, h.booked_until, g.booked_until) AS booked_until,
        coalesce(g.announced_at, h.announced_at) AS announced_at,
        if(issuer_speaks, 'issued', 'received') AS speaker_type,
        if(issuer_speaks, b.issued_entity_id, b.received_entity_id) AS speaker_entity_id,
        if(issuer_speaks, b.issued_id, b.received_id) AS speaker_id,
        b.date_issued,
        b.date_reception
    FROM roles AS p
    INNER JOIN staging.both_sides AS b ON p.doc_key = b.doc_key
    INNER JOIN staging.amounts AS a ON p.doc_key = a.doc_key
    LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code
    LEFT JOIN staging.events AS v ON p.doc_key = v.doc_key
    LEFT JOIN staging.payments_seen AS s ON p.doc_key = s.doc_key
    LEFT JOIN staging.payments_told AS g
        ON
            p.doc_key = g.doc_key
            AND (g.document_type = 'issued') = (p.seller_is_issuer = (p.role = 'seller'))
    LEFT JOIN staging.payments_told AS h
        ON
            p.doc_key = h.doc_key
            AND (h.document_type = 'issued') <> (p.seller_is_issuer = (p.role = 'seller'))
),

dated AS (
    SELECT
        p.*,
        f.seen_at,
        CASE
            WHEN NOT p.is_paid THEN NULL
            WHEN p.event_at IS NOT NULL AND coalesce(
                p.event_at NOT BETWEEN p.booked_from AND p.booked_until, true
            ) THEN 'event'
            WHEN p.paid_on IS NOT NULL THEN 'outbox'
            WHEN p.announced_at <= coalesce(p.seen_paid_at, f.seen_at) THEN 'webhook'
            WHEN p.seen_paid_at IS NOT NULL THEN 'observed'
            ELSE 'unknown'
        END AS payment_source
    FROM spoken AS p
    LEFT JOIN first_seen AS f
        ON
            p.speaker_entity_id = f.master_entity_id
            AND p.speaker_type = f.document_type
            AND p.speaker_id = f.id
)

SELECT
    p.doc_key,
    p.role,
    p.company_rut,
    p.base,
    p.book_sign,
    p.is_closed_at_issue,
    least(
        coalesce(p.date_issued, timezone('America/Santiago', p.date_reception)::DATE,
            timezone('America/Santiago', p.seen_at)::DATE),
        c.as_of
    ) AS start_day,
    timezone('America/Santiago', p.seen_at)::DATE AS seen_day,
    p.is_paid,
    p.is_partial,
    p.pending,
    CASE p.payment_source
        WHEN 'event' THEN p.event_at
        WHEN 'outbox' THEN timezone('America/Santiago', p.paid_on::TIMESTAMP)
        WHEN 'webhook' THEN p.announced_at
        WHEN 'observed' THEN p.seen_paid_at
    END AS payment_at,
    p.payment_source,
    p.speaker_type,
    p.speaker_entity_id,
    p.speaker_id
FROM dated AS p
CROSS JOIN staging.calendar AS c

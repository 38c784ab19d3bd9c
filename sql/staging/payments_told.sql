-- What says when a document was paid beside the API itself: a payment booked from here
-- (outbox.payments) and a webhook that announced one (inbox.events). What anything said
-- before the document was last known to be unpaid is taken back and not here. Both tables
-- are copies of ledger.sqlite and inbox.sqlite, so lake, ledger and inbox give this again.
-- doc_key: Key of the document.
-- document_type: issued or received: the side it was said of.
-- paid_on: Day of the first payment booked from here since then.
-- booked_from: Earliest time that the API may give that booking; NULL when it read as paid
-- already and nothing was sent.
-- booked_until: Latest time that the API may give it.
-- announced_at: When a webhook first announced a payment since then.
WITH sides AS (
    SELECT master_entity_id, document_type, document_id, doc_key, newest
    FROM staging.sides
    WHERE exclusion IS NULL
),

said AS (
    SELECT
        s.doc_key, s.document_type, p.event = 'PAID' AS is_paid, p.verified_at AS said_at,
        p.paid_on, p.sent_at, NULL::TIMESTAMPTZ AS announced_at
    FROM outbox.payments AS p
    INNER JOIN sides AS s ON p.document_id = s.document_id AND s.document_type = 'issued'
    UNION ALL
    SELECT
        s.doc_key, s.document_type, e.event_type = 'document.paid', e.announced_at,
        NULL, NULL, e.announced_at
    FROM inbox.events AS e
    INNER JOIN sides AS s ON e.document_id = s.document_id
    WHERE e.event_type IN ('document.paid', 'document.unpaid')
    UNION ALL
    SELECT s.doc_key, s.document_type, false, e.event_date, NULL, NULL, NULL
    FROM raw.document_states AS e
    INNER JOIN sides AS s
        ON
            e.master_entity_id = s.master_entity_id
            AND e.document_type = s.document_type
            AND e.document_id = s.document_id
    WHERE e.event_code = 'UNPAID' AND e._deleted_at IS NULL
    UNION ALL
    SELECT s.doc_key, s.document_type, false, u.unpaid_at, NULL, NULL, NULL
    FROM staging.unpaid_versions AS u
    INNER JOIN sides AS s
        ON
            u.master_entity_id = s.master_entity_id
            AND u.document_type = s.document_type
            AND u.document_id = s.document_id
    WHERE s.newest = 1
),

standing AS (
    SELECT
        *,
        max(if(is_paid, NULL, said_at)) OVER (PARTITION BY doc_key, document_type) AS undone_at
    FROM said
)

SELECT
    doc_key,
    document_type,
    booking.paid_on AS paid_on,
    -- Five minutes: the most that two clocks may differ before sending stops.
    booking.sent_at - INTERVAL 5 MINUTE AS booked_from,
    booking.said_at + INTERVAL 5 MINUTE AS booked_until,
    announced_at
FROM (
    SELECT
        doc_key,
        document_type,
        arg_min({'paid_on': paid_on, 'sent_at': sent_at, 'said_at': said_at}, said_at)
            FILTER (paid_on IS NOT NULL) AS booking,
        min(announced_at) AS announced_at
    FROM standing
    WHERE is_paid AND (undone_at IS NULL OR said_at > undone_at)
    GROUP BY doc_key, document_type
)

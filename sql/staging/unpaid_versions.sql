-- The time when a document that has changed was last seen unpaid, or paid in part only.
-- master_entity_id: Company of the row.
-- document_type: issued or received.
-- document_id: Tu Pana's id on this side.
-- unpaid_at: From when its newest unpaid version held.
-- seen_at: When it was first seen otherwise.
SELECT
    master_entity_id,
    document_type,
    id AS document_id,
    max(valid_from) AS unpaid_at,
    max(valid_to) AS seen_at
FROM history.documents
WHERE
    valid_to IS NOT NULL
    AND lower(payment_status) IS DISTINCT FROM 'paid'
    AND coalesce(
        NOT is_paid, lower(payment_status) IN ('unpaid', 'partially_paid'), pending_amount > 0
    )
GROUP BY ALL

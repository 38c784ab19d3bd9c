-- When a payment mark was seen to appear between two syncs. A document that was already
-- paid when first seen is not here: nobody knows when it was paid.
-- doc_key: Key of the document.
-- issued_seen_at: When the issuer's row was first seen paid after having been seen unpaid.
-- received_seen_at: The same on the receiver's side.
SELECT
    s.doc_key,
    max(u.seen_at) FILTER (u.document_type = 'issued') AS issued_seen_at,
    max(u.seen_at) FILTER (u.document_type = 'received') AS received_seen_at
FROM staging.unpaid_versions AS u
INNER JOIN staging.sides AS s
    ON
        u.master_entity_id = s.master_entity_id
        AND u.document_type = s.document_type
        AND u.document_id = s.document_id
WHERE s.exclusion IS NULL AND s.newest = 1
GROUP BY s.doc_key

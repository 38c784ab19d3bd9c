-- The cession that holds today, per document: the last one that SII registered.
-- doc_key: Key of the document.
-- assignee_rut: RUT of the last registered assignee.
-- assignee_name: Its name.
-- ceded_clp: Amount ceded, pesos; NULL when the cession does not say it.
-- ceded_at: When it was registered.
-- is_processing: Another cession is on its way: not ceded yet, no candidate either.
WITH once AS (
    -- Cedente and debtor may both be ours: the same cession is then listed twice.
    SELECT
        id,
        arg_min(document_id, document_type) AS document_id,
        max(ltrim(trim(document_folio), '0')) AS folio,
        max(document_date_issued) AS date_issued,
        max(supplier_rut) AS supplier_rut,
        max(coalesce(assignee_entity_tax_id, assignee_rut)) AS assignee_rut,
        max(coalesce(assignee_entity_name, assignee_business_name)) AS assignee_name,
        max(assignment_amount) AS amount,
        max(coalesce(sii_date_sent, created_at)) AS moment,
        bool_or(lower(status) = 'success') AS is_success,
        bool_or(lower(status) = 'processing') AS is_processing
    FROM raw.cessions
    WHERE _deleted_at IS NULL
    GROUP BY id
),

by_id AS (
    SELECT DISTINCT o.id, s.doc_key
    FROM once AS o
    INNER JOIN staging.sides AS s
        ON
            o.document_id = s.document_id
            AND (o.supplier_rut IS NULL OR o.supplier_rut = s.issuer_rut)
    WHERE s.exclusion IS NULL
),

by_folio AS (
    -- A cession seen only at SII may carry no id of ours; SII accepts AECs of these types only.
    SELECT o.id, b.doc_key
    FROM once AS o
    INNER JOIN ref.dte_types AS t ON t.cedible
    INNER JOIN staging.both_sides AS b
        ON o.supplier_rut || '|' || t.code || '|' || o.folio = b.doc_key
    ANTI JOIN by_id AS i ON o.id = i.id
    WHERE coalesce(o.date_issued = b.date_issued, true)
    QUALIFY count(*) OVER (PARTITION BY o.id) = 1
),

linked AS (
    SELECT l.doc_key, o.*
    FROM once AS o
    INNER JOIN (SELECT * FROM by_id UNION ALL SELECT * FROM by_folio) AS l ON o.id = l.id
)

SELECT
    doc_key,
    arg_max(assignee_rut, (moment, length(id), id)) FILTER (is_success) AS assignee_rut,
    arg_max(assignee_name, (moment, length(id), id)) FILTER (is_success) AS assignee_name,
    arg_max_null(amount, (moment, length(id), id)) FILTER (is_success)::DECIMAL(18, 4) AS ceded_clp,
    max(moment) FILTER (is_success) AS ceded_at,
    coalesce(bool_or(is_processing), false) AS is_processing
FROM linked
GROUP BY doc_key

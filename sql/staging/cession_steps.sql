-- Every cession once, with the document it is about and its place among those that SII
-- registered. The API gives no sequence: it is derived from the order in time.
-- doc_key: Key of the ceded document; NULL when it is not in the data.
-- cession_id: Tu Pana's id of the cession.
-- supplier_rut: RUT of the invoice's issuer, as the cession says.
-- debtor_rut: RUT of the debtor, as the cession says.
-- folio: Folio of the ceded document, as the cession says.
-- document_date: Issue date of the ceded document, as the cession says.
-- assignee_rut: RUT of the cesionario.
-- assignee_name: Its name.
-- amount: Amount ceded, pesos.
-- moment: When the AEC went to SII, else when Tu Pana stored the cession.
-- status: processing, rejected or success.
-- status_message: What SII said.
-- source: internal (by Tu Pana) or external (seen at SII).
-- is_success: Registered by SII.
-- is_processing: On its way.
-- sequence: Place among the registered ones of its document, from 1; NULL for others.
-- is_last: The last registered one of its document.
WITH once AS (
    -- Cedente and debtor may both be ours: the same cession is then listed twice.
    SELECT
        id,
        arg_min(document_id, document_type) AS document_id,
        max(ltrim(trim(document_folio), '0')) AS folio,
        max(document_date_issued) AS date_issued,
        max(supplier_rut) AS supplier_rut,
        max(receiver_rut) AS debtor_rut,
        max(coalesce(assignee_entity_tax_id, assignee_rut)) AS assignee_rut,
        max(coalesce(assignee_entity_name, assignee_business_name)) AS assignee_name,
        max(assignment_amount) AS amount,
        max(coalesce(sii_date_sent, created_at)) AS moment,
        -- The side read last may lag behind.
        max(lower(status)) AS status,
        max(status_message) AS status_message,
        max(source) AS source
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
            -- A 46 is ceded by its receiver, the seller.
            AND coalesce(o.supplier_rut IN (s.issuer_rut, s.receiver_rut), true)
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
)

SELECT
    l.doc_key,
    o.id AS cession_id,
    o.supplier_rut,
    o.debtor_rut,
    o.folio,
    o.date_issued AS document_date,
    o.assignee_rut,
    o.assignee_name,
    o.amount,
    o.moment,
    o.status,
    o.status_message,
    o.source,
    coalesce(o.status = 'success', false) AS is_success,
    coalesce(o.status = 'processing', false) AS is_processing,
    -- SII, Instructivo RPETC: each cession is by whoever the last one named.
    if(
        is_success AND l.doc_key IS NOT NULL,
        row_number() OVER (
            PARTITION BY l.doc_key, is_success ORDER BY o.moment, length(o.id), o.id
        ), NULL
    )::INTEGER AS sequence,
    coalesce(sequence = count(*) FILTER (is_success) OVER (PARTITION BY l.doc_key), false)
        AS is_last
FROM once AS o
LEFT JOIN (SELECT * FROM by_id UNION ALL SELECT * FROM by_folio) AS l ON o.id = l.id

-- Payment marks of a position before its present one, as the syncs saw them, and the present
-- one with the day from which it holds. Only what changes after the issue is here: a mark
-- that was there at first sight has no day and holds from the issue on.
-- doc_key: Key of the document.
-- role: seller or buyer.
-- day: From when the mark holds.
-- moment: Time of the mark, which orders those of one day.
-- is_paid: Marked as paid.
-- is_partial: Marked as partially paid.
-- pending: What is left of a partial payment.
WITH versions AS (
    SELECT
        h.master_entity_id,
        h.document_type,
        h.id,
        h.valid_from,
        h.valid_to,
        coalesce(h.is_paid, false) OR coalesce(lower(h.payment_status) = 'paid', false) AS is_paid,
        coalesce(lower(h.payment_status) = 'partially_paid', h.pending_amount > 0, false)
            AS is_partial,
        if(is_partial, h.pending_amount, NULL) AS pending,
        row_number() OVER (
            PARTITION BY h.master_entity_id, h.document_type, h.id ORDER BY h.valid_from
        ) = 1 AS is_first
    FROM history.documents AS h
    -- A row with one version has nothing to tell.
    SEMI JOIN (FROM history.documents WHERE valid_to IS NOT NULL) AS o
        ON
            h.master_entity_id = o.master_entity_id
            AND h.document_type = o.document_type
            AND h.id = o.id
),

seen AS (
    SELECT
        p.doc_key,
        p.role,
        if(v.is_first, p.start_day, timezone('America/Santiago', v.valid_from)::DATE) AS day,
        v.valid_from AS moment,
        -- What an event or a row of the outbox dates was not paid before it, whatever the
        -- first sight says.
        v.is_paid AND coalesce(p.payment_source NOT IN ('event', 'outbox'), true) AS is_paid,
        v.is_partial,
        v.pending
    FROM versions AS v
    INNER JOIN staging.positions AS p
        ON
            v.master_entity_id = p.speaker_entity_id
            AND v.document_type = p.speaker_type
            AND v.id = p.speaker_id
    WHERE
        v.valid_to IS NOT NULL
        AND p.payment_source IS DISTINCT FROM 'unknown'
        AND (p.payment_at IS NULL OR v.valid_from < p.payment_at)
),

-- Paid and dated: open until then, where no version says otherwise.
opened AS (
    SELECT
        doc_key, role, start_day AS day, TIMESTAMPTZ '1900-01-01 00:00:00+00' AS moment,
        false AS is_paid, false AS is_partial, NULL::DECIMAL(18, 4) AS pending
    FROM staging.positions
    WHERE payment_at IS NOT NULL
),

present AS (
    SELECT
        p.doc_key,
        p.role,
        timezone('America/Santiago', coalesce(p.payment_at, v.valid_from))::DATE AS day,
        coalesce(p.payment_at, v.valid_from) AS moment,
        p.is_paid,
        p.is_partial,
        p.pending
    FROM staging.positions AS p
    LEFT JOIN versions AS v
        ON
            p.speaker_entity_id = v.master_entity_id
            AND p.speaker_type = v.document_type
            AND p.speaker_id = v.id
            AND v.valid_to IS NULL
            AND NOT v.is_first
    WHERE
        p.payment_source IS DISTINCT FROM 'unknown'
        AND (p.payment_at IS NOT NULL OR v.id IS NOT NULL)
)

SELECT
    m.doc_key,
    m.role,
    least(m.day, c.as_of) AS day,
    m.moment,
    m.is_paid,
    m.is_partial,
    m.pending
FROM (
    SELECT * FROM opened
    UNION ALL
    SELECT * FROM seen
    UNION ALL
    SELECT * FROM present
) AS m
CROSS JOIN staging.calendar AS c

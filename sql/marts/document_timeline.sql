-- What happened to each document and when, one row per event. Only what is known is here: a
-- payment that nobody dates has a row without a day.
-- doc_key: issuer|type|folio, as in marts.documents.
-- company_rut: The user's company; the seller when both are.
-- event: issued, received_by_sii, acknowledged, claimed, accepted_tacit, due, closed_at_issue (cash, free or receipt), paid, ceded, ceded_back or note.
-- happened_on: Day of the event, in Santiago; NULL when nobody knows.
-- happened_at: Its time, where one is known.
-- source: Where it is known from: document, sii, computed, cession, or for a payment the
-- paid_at_source of marts.documents.
-- amount: Amount of the event in the document's currency: total, note or cession; NULL for others.
-- detail: SII's event code (all that is known of a cession or note that is not in the data), the note, or the assignee.
-- is_future: It has not come yet at as_of (a due date).
WITH happened AS (
    SELECT
        doc_key, 'issued' AS event, date_issued AS happened_on, NULL::TIMESTAMPTZ AS happened_at,
        'document' AS source, amount, NULL AS detail
    FROM marts.documents
    UNION ALL
    SELECT doc_key, 'received_by_sii', NULL, date_reception, 'sii', NULL, NULL
    FROM marts.documents WHERE date_reception IS NOT NULL
    UNION ALL
    -- Ley 19.983 art. 3: nothing is recorded when the eight days pass.
    SELECT doc_key, 'accepted_tacit', NULL, accept_deadline, 'computed', NULL, NULL
    FROM marts.documents WHERE acceptance = 'accepted_tacit'
    UNION ALL
    SELECT doc_key, 'due', due_date, NULL, due_date_source, NULL, NULL
    FROM marts.documents WHERE due_date IS NOT NULL
    UNION ALL
    SELECT doc_key, 'paid', NULL, paid_at, paid_at_source, NULL, NULL
    FROM marts.documents WHERE is_paid
    UNION ALL
    SELECT doc_key, 'closed_at_issue', date_issued, NULL, 'document', NULL, NULL
    FROM marts.documents WHERE is_closed_at_issue AND NOT is_paid
    UNION ALL
    -- SII registered a cession, or received a note, that is not in the data.
    SELECT DISTINCT
        u.doc_key, if(e.event_code = 'CED', 'ceded', 'note'), NULL::DATE, e.event_date, 'sii',
        NULL::DECIMAL(18, 4), e.event_code
    FROM staging.unseen AS u
    INNER JOIN staging.sides AS s ON u.doc_key = s.doc_key AND s.exclusion IS NULL
    INNER JOIN raw.document_states AS e
        ON
            s.master_entity_id = e.master_entity_id
            AND s.document_type = e.document_type
            AND s.document_id = e.document_id
    WHERE
        e._deleted_at IS NULL
        AND if(e.event_code = 'CED', u.cession, u.credit_note)
        AND e.event_code IN ('CED', 'NCA', 'ENC')
    UNION ALL
    -- The same event is told on both sides of a document between own companies.
    SELECT DISTINCT
        s.doc_key,
        if(e.event_code IN ('ACD', 'ERM'), 'acknowledged', 'claimed'),
        NULL,
        e.event_date,
        'sii',
        NULL,
        e.event_code
    FROM raw.document_states AS e
    INNER JOIN staging.sides AS s
        ON
            e.master_entity_id = s.master_entity_id
            AND e.document_type = s.document_type
            AND e.document_id = s.document_id
    WHERE
        s.exclusion IS NULL AND e._deleted_at IS NULL
        AND e.event_code IN ('ACD', 'ERM', 'RCD', 'RFP', 'RFT')
    UNION ALL
    -- Told by a flag alone.
    SELECT
        d.doc_key, if(d.acceptance = 'claimed', 'claimed', 'acknowledged'), NULL, NULL,
        'unknown', NULL, NULL
    FROM marts.documents AS d
    INNER JOIN staging.terms AS t ON d.doc_key = t.doc_key
    WHERE
        (d.acceptance = 'claimed' AND t.claimed_at IS NULL)
        OR (d.acceptance = 'accepted_express' AND t.accepted_at IS NULL)
    UNION ALL
    SELECT
        s.doc_key,
        if(
            replace(s.assignee_rut, '-', '')
            IN (replace(p.seller_rut, '-', ''), split_part(p.seller_rut, '-', 1)),
            'ceded_back', 'ceded'
        ),
        NULL, s.moment, 'cession', s.amount, s.assignee_rut
    FROM staging.cession_steps AS s
    INNER JOIN staging.parties AS p ON s.doc_key = p.doc_key
    WHERE s.is_success
    UNION ALL
    SELECT
        f.root_key, 'note', n.date_issued, NULL, 'document', f.amount,
        n.dte_type_code || ' ' || n.folio
    FROM staging.note_flows AS f
    INNER JOIN staging.both_sides AS n ON f.note_key = n.doc_key
    WHERE f.root_key <> f.note_key
)

SELECT
    h.doc_key,
    d.company_rut,
    h.event,
    coalesce(h.happened_on, timezone('America/Santiago', h.happened_at)::DATE) AS happened_on,
    h.happened_at,
    h.source,
    h.amount::DECIMAL(18, 4) AS amount,
    h.detail,
    coalesce(
        coalesce(h.happened_on, timezone('America/Santiago', h.happened_at)::DATE) > d.as_of, false
    ) AS is_future
FROM happened AS h
INNER JOIN marts.documents AS d ON h.doc_key = d.doc_key

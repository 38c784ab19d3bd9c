-- Where the money of each note ends: the chain of references followed to its root. A 56
-- that annuls a 61 that corrected a 33 ends at the 33; a note whose target is not in the
-- data ends at itself; a ring of notes ends where it started.
-- note_key: Key of the note.
-- root_key: Document at the end of the chain.
-- root_order: 1 for the first root, in the order of the references.
-- amount: Part of the note that ends there, positive, in the note's currency.
-- book_sign: +1 adds to the root, −1 takes from it.
-- is_estimated: The part comes from a split that no document states.
-- is_cycle: The references go round in a ring.
WITH RECURSIVE starts AS (
    SELECT
        a.doc_key,
        t.book_sign,
        a.amount_currency,
        -- CodRef 2 corrects text: no money moves (SII Formato DTE 2.2).
        CASE
            WHEN bool_and(coalesce(e.reference_code = '2', false)) THEN 0
            -- Pesos are split into whole pesos, other currencies into ten-thousandths.
            WHEN any_value(a.amount_currency) = 'CLP' THEN any_value(a.collectible)::HUGEINT
            ELSE (any_value(a.collectible)::DECIMAL(38, 4) * 10000)::HUGEINT
        END AS units
    FROM staging.note_edges AS e
    INNER JOIN staging.amounts AS a ON e.note_key = a.doc_key
    INNER JOIN staging.both_sides AS b ON a.doc_key = b.doc_key
    INNER JOIN ref.dte_types AS t ON b.dte_type_code = t.code
    GROUP BY a.doc_key, t.book_sign, a.amount_currency
),

walk AS (
    SELECT
        doc_key AS note_key,
        doc_key AS at_key,
        units,
        false AS is_end,
        false AS is_estimated,
        false AS is_cycle,
        0 AS first_position,
        [doc_key] AS seen
    FROM starts
    UNION ALL
    SELECT
        w.note_key,
        if(r.is_ring, w.note_key, e.target_key),
        -- Differences of floors: whatever the split, the parts add up to the whole.
        w.units * e.weight_upto // e.weight_total - w.units * e.weight_before // e.weight_total,
        r.is_ring OR NOT e.is_target_note,
        w.is_estimated OR (e.edges > 1 AND w.units <> 0),
        r.is_ring,
        if(w.first_position = 0, e.position, w.first_position),
        list_append(w.seen, e.target_key)
    FROM walk AS w
    INNER JOIN staging.note_edges AS e ON w.at_key = e.note_key
    -- Real chains have two or three links; eight is a ring or an error.
    CROSS JOIN LATERAL (
        SELECT e.is_target_note AND (list_contains(w.seen, e.target_key) OR len(w.seen) >= 8)
            AS is_ring
    ) AS r
    WHERE NOT w.is_end
),

ended AS (
    SELECT
        note_key,
        at_key AS root_key,
        sum(units)::HUGEINT AS units,
        bool_or(is_estimated) AS is_estimated,
        bool_or(is_cycle) AS is_cycle,
        min(first_position) AS first_position
    FROM walk
    WHERE is_end
    GROUP BY note_key, at_key
)

SELECT
    e.note_key,
    e.root_key,
    -- A root in the data comes before the note itself.
    row_number() OVER (
        PARTITION BY e.note_key
        ORDER BY e.root_key = e.note_key, e.first_position, e.root_key
    ) AS root_order,
    if(
        s.amount_currency = 'CLP', e.units::DECIMAL(38, 4), e.units::DECIMAL(38, 4) * 0.0001
    )::DECIMAL(18, 4) AS amount,
    s.book_sign,
    e.is_estimated,
    e.is_cycle
FROM ended AS e
INNER JOIN starts AS s ON e.note_key = s.doc_key

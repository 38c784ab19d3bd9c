-- What each note (56, 61, 111, 112) references, and which part of its amount goes there.
-- A note that references several documents has no split in its XML (SII Formato DTE 2.2,
-- CodRef 3): the amount is shared pro rata to their totals, and marked as estimated. The
-- part of a reference whose document is not in the data stays with the note.
-- note_key: Key of the note.
-- target_key: Key of the referenced document; the note itself when it is not in the data.
-- position: Order of the reference in the note.
-- reference_code: SII CodRef: 1 annuls, 2 corrects text, 3 corrects amounts; NULL unless an XML
--   was read: the API's JSON does not carry it.
-- purpose: annuls, text or amounts by its CodRef; without one annuls or text where its reason
--   says so, else NULL.
-- is_purpose_stated: The purpose is CodRef's, not read from the reason.
-- reference_type: Type it names.
-- reference_folio: Folio it names.
-- problem: Why the target cannot be used: missing, self or currency; NULL when it can.
-- is_target_note: The target is a note too: its share travels on.
-- weight_before: Weight of the references before this one.
-- weight_upto: Weight up to and with this one.
-- weight_total: Weight of all references of the note.
-- edges: References of the note that count.
WITH mentioned AS (
    -- Both sides of a document carry its references; the same one counts once.
    SELECT
        s.doc_key AS note_key,
        b.issuer_rut || '|' || t.code || '|' || ltrim(trim(r.reference_folio), '0') AS target_key,
        t.code AS reference_type,
        trim(r.reference_folio) AS reference_folio,
        t.is_note AS is_target_note,
        max(r.reference_code) AS reference_code,
        max(upper(trim(r.reference_reason))) AS reason,
        min(r.position) AS position
    FROM raw.document_references AS r
    INNER JOIN staging.sides AS s
        ON
            r.master_entity_id = s.master_entity_id
            AND r.document_type = s.document_type
            AND r.document_id = s.document_id
    INNER JOIN staging.both_sides AS b ON s.doc_key = b.doc_key
    INNER JOIN ref.dte_types AS n ON b.dte_type_code = n.code AND n.is_note
    -- Orders (801), receipts (HES) and dispatch notes (52) are no debts to adjust.
    INNER JOIN ref.dte_types AS t
        ON r.dte_type_code = t.code AND t.book_sign <> 0 AND NOT t.is_honorarios
    WHERE s.exclusion IS NULL AND s.newest = 1 AND r._deleted_at IS NULL
    GROUP BY ALL
),

-- A note with no reference at all is its own end.
named AS (
    SELECT * FROM mentioned
    UNION ALL
    SELECT b.doc_key, NULL, NULL, NULL, false, NULL, NULL, 1
    FROM staging.both_sides AS b
    INNER JOIN ref.dte_types AS n ON b.dte_type_code = n.code AND n.is_note
    ANTI JOIN mentioned AS m ON b.doc_key = m.note_key
),

found AS (
    SELECT
        n.*,
        a.amount AS target_amount,
        CASE
            WHEN n.target_key IS NULL OR a.doc_key IS NULL THEN 'missing'
            WHEN n.target_key = n.note_key THEN 'self'
            WHEN a.amount_currency IS DISTINCT FROM o.amount_currency THEN 'currency'
        END AS problem
    FROM named AS n
    INNER JOIN staging.amounts AS o ON n.note_key = o.doc_key
    LEFT JOIN staging.amounts AS a ON n.target_key = a.doc_key
),

weighed AS (
    -- An unknown target weighs as much as the known ones on average; documents without any
    -- amount share evenly. Weights are integers: shares are exact.
    SELECT
        *,
        coalesce(
            if(problem IS NULL, (target_amount::DECIMAL(38, 4) * 10000)::HUGEINT, NULL),
            sum((target_amount::DECIMAL(38, 4) * 10000)::HUGEINT)
                FILTER (problem IS NULL) OVER (PARTITION BY note_key)
            // nullif(count(target_amount) FILTER (problem IS NULL)
                OVER (PARTITION BY note_key), 0),
            0
        ) AS amount_weight
    FROM found
),

levelled AS (
    SELECT
        *,
        if(sum(amount_weight) OVER (PARTITION BY note_key) = 0, 1, amount_weight)::HUGEINT
            AS weight
    FROM weighed
)

SELECT
    note_key,
    if(problem IS NULL, target_key, note_key) AS target_key,
    row_number() OVER ordered AS position,
    reference_code,
    -- Tu Pana asks this reason of a note for the whole document; the words of a correction of
    -- text are custom. They serve for warnings: money moves by the note's amount.
    CASE
        WHEN reference_code IS NOT NULL
            THEN CASE reference_code WHEN '1' THEN 'annuls' WHEN '2' THEN 'text' ELSE 'amounts' END
        WHEN starts_with(reason, 'ANULA') THEN 'annuls'
        WHEN regexp_matches(reason, '^CORRIGE (TEXTO|GIRO|DIRECCI|RAZ|COMUNA|NOMBRE)') THEN 'text'
    END AS purpose,
    reference_code IS NOT NULL AS is_purpose_stated,
    reference_type,
    reference_folio,
    problem,
    is_target_note AND problem IS NULL AS is_target_note,
    (sum(weight) OVER ordered - weight)::HUGEINT AS weight_before,
    (sum(weight) OVER ordered)::HUGEINT AS weight_upto,
    (sum(weight) OVER (PARTITION BY note_key))::HUGEINT AS weight_total,
    count(*) OVER (PARTITION BY note_key) AS edges
FROM levelled
WINDOW ordered AS (
    PARTITION BY note_key
    ORDER BY position, reference_type, reference_folio
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
)

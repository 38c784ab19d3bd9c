-- Findings about notes and their references.
-- check_name: Name of the check.
-- severity: error, warning or info.
-- company_rut: The user's company.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- master_entity_id: Company of document_id.
-- document_type: issued or received: the side of document_id.
-- document_id: Tu Pana's id of the document.
-- message: What is wrong, in a sentence.
-- amount: The amount in question, in the currency of the document; NULL when there is none.
WITH edges AS (
    SELECT
        e.note_key,
        -- A target that is not in the data stands as the note itself.
        nullif(arg_min(e.target_key, e.position), e.note_key) AS target_key,
        arg_min(e.reference_type || ' ' || e.reference_folio, e.position)
            FILTER (e.problem = 'missing')
        || if(
            count(*) FILTER (e.problem = 'missing') > 1,
            ' and ' || (count(*) FILTER (e.problem = 'missing') - 1) || ' more', ''
        ) AS missing,
        bool_or(e.problem = 'currency') AS other_currency,
        bool_and(coalesce(e.purpose = 'text', false)) AS is_text,
        bool_and(e.is_purpose_stated) AS is_stated,
        bool_and(coalesce(e.purpose = 'annuls', false)) AND count(*) = 1 AS annuls
    FROM staging.note_edges AS e
    GROUP BY e.note_key
),

notes AS (
    SELECT d.*, e.* EXCLUDE (note_key), p.is_cycle, t.amount AS target_amount
    FROM edges AS e
    INNER JOIN staging.parties AS p ON e.note_key = p.doc_key
    INNER JOIN marts.documents AS d ON e.note_key = d.doc_key
    LEFT JOIN staging.amounts AS t ON e.target_key = t.doc_key
),

found AS (
    SELECT 'note_without_target' AS check_name, 'warning' AS severity, *,
        coalesce(
            'It references ' || missing || ', not in the data',
            if(other_currency, 'It references a document in another currency',
                'It references no invoice')
        ) || ': the amount is kept apart and the side is the note''s own.' AS message
    FROM notes WHERE NOT has_target AND NOT is_cycle
    UNION ALL
    SELECT 'note_target_missing', 'warning', *,
        'It also references ' || missing || ', not in the data: that share is kept apart.'
    FROM notes WHERE has_target AND missing IS NOT NULL
    UNION ALL
    SELECT 'reference_cycle', 'error', *, 'Its references go round in a ring: kept apart.'
    FROM notes WHERE is_cycle
    UNION ALL
    SELECT 'split_is_estimated', 'info', *,
        'It adjusts several documents and gives no split: shared pro rata to their totals.'
    FROM notes WHERE is_estimated AND has_target AND NOT is_cycle
    UNION ALL
    -- SII Formato DTE 2.2: CodRef 2 moves no money. Its words alone do not prove it.
    SELECT 'text_note_with_amount', 'warning', *,
        if(is_stated, 'It corrects text (CodRef 2) and has an amount: no money is moved.',
            'Its reason reads like a correction of text, its CodRef is not known: its amount counts.')
    FROM notes WHERE is_text AND amount > 0
    UNION ALL
    SELECT 'annulment_differs', 'warning', *,
        'It annuls a document of ' || target_amount || ' with ' || amount || '.'
    FROM notes WHERE annuls AND amount <> target_amount
)

SELECT
    check_name, severity, company_rut, issuer_rut, dte_type_code, folio, master_entity_id,
    document_type, document_id, message, amount
FROM found

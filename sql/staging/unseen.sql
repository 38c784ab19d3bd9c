-- What SII or Tu Pana knows of a document and the data do not hold: a credit note, a cession.
-- Contract 2026-04 lists no cessions received, and notes may be older than the first sync.
-- Only what is unseen has a row.
-- doc_key: Key of the document.
-- credit_note: A credit note on it is known (NCA, ENC or the flag) and no reference leads here.
-- cession: SII registered a cession (CED) and no registered one is in the data.
WITH referenced AS (SELECT DISTINCT target_key FROM staging.note_edges WHERE problem IS NULL),

ceded AS (SELECT DISTINCT doc_key FROM staging.cession_steps WHERE is_success)

SELECT
    b.doc_key,
    (b.has_credit_note OR coalesce(v.has_credit_note, false)) AND r.target_key IS NULL
        AS credit_note,
    v.ceded_at IS NOT NULL AND c.doc_key IS NULL AS cession
FROM staging.both_sides AS b
LEFT JOIN staging.events AS v ON b.doc_key = v.doc_key
LEFT JOIN referenced AS r ON b.doc_key = r.target_key
LEFT JOIN ceded AS c ON b.doc_key = c.doc_key
WHERE credit_note OR cession

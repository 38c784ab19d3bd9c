-- The cession that holds today, per document: the last one that SII registered.
-- doc_key: Key of the document.
-- assignee_rut: RUT of the last registered assignee.
-- assignee_name: Its name.
-- ceded_clp: Amount ceded, pesos; NULL when the cession does not say it.
-- ceded_at: When it was registered.
-- is_processing: Another cession is on its way: not ceded yet, no candidate either.
SELECT
    doc_key,
    max(assignee_rut) FILTER (is_last) AS assignee_rut,
    max(assignee_name) FILTER (is_last) AS assignee_name,
    max(amount) FILTER (is_last)::DECIMAL(18, 4) AS ceded_clp,
    max(moment) FILTER (is_last) AS ceded_at,
    bool_or(is_processing) AS is_processing
FROM staging.cession_steps
WHERE doc_key IS NOT NULL
GROUP BY doc_key

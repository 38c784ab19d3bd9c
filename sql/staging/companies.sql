-- The user's own companies, with the RUT they trade under.
-- The registry's RUT wins; while a company's registry row has not been read, the RUT that
-- most of its own documents show stands in for it.
-- master_entity_id: Tu Pana's id of the company.
-- rut: RUT of the company.
-- name: Registered name; NULL while the registry row has not been read.
WITH shown AS (
    SELECT
        master_entity_id,
        CASE document_type WHEN 'issued' THEN sender_tax_id ELSE receiver_tax_id END AS rut,
        count(*) AS documents
    FROM raw.documents
    GROUP BY ALL
),

guessed AS (
    SELECT master_entity_id, rut
    FROM shown
    WHERE rut IS NOT NULL
    -- rut breaks ties, so that the answer does not depend on the order of loading
    QUALIFY row_number() OVER (PARTITION BY master_entity_id ORDER BY documents DESC, rut) = 1
),

registered AS (
    SELECT coalesce(master_entity_id, id) AS master_entity_id, max(tax_id) AS rut, max(name) AS name
    FROM raw.master_entities
    GROUP BY ALL
)

SELECT
    coalesce(r.master_entity_id, g.master_entity_id) AS master_entity_id,
    coalesce(r.rut, g.rut) AS rut,
    r.name
FROM registered AS r
FULL JOIN guessed AS g ON r.master_entity_id = g.master_entity_id
WHERE coalesce(r.rut, g.rut) IS NOT NULL

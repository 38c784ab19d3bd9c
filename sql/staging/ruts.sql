-- Every RUT that names a party of a document, and whether its check digit is right.
-- rut: RUT as it came.
-- is_valid: It has the shape of a RUT and its modulo-11 digit is right.
-- expected: The RUT with the right digit; NULL when the text has not the shape of one.
WITH named AS (
    SELECT issuer_rut AS rut FROM staging.sides
    UNION
    SELECT receiver_rut FROM staging.sides
),

bodies AS (
    SELECT
        rut,
        regexp_matches(rut, '^[1-9][0-9]{0,7}-[0-9K]$') AS has_shape,
        lpad(split_part(rut, '-', 1), 8, '0') AS body
    FROM named
    WHERE rut IS NOT NULL
),

summed AS (
    -- SII: weights 2, 3, 4, 5, 6, 7, 2, 3 from the right; eleven minus the rest of eleven.
    SELECT
        *,
        if(
            has_shape,
            11 - (
                substr(body, 8, 1)::INTEGER * 2 + substr(body, 7, 1)::INTEGER * 3
                + substr(body, 6, 1)::INTEGER * 4 + substr(body, 5, 1)::INTEGER * 5
                + substr(body, 4, 1)::INTEGER * 6 + substr(body, 3, 1)::INTEGER * 7
                + substr(body, 2, 1)::INTEGER * 2 + substr(body, 1, 1)::INTEGER * 3
            ) % 11, NULL
        ) AS rest
    FROM bodies
),

digits AS (
    SELECT *, CASE rest WHEN 11 THEN '0' WHEN 10 THEN 'K' ELSE rest::VARCHAR END AS digit
    FROM summed
)

SELECT
    rut,
    has_shape AND digit = right(rut, 1) AS is_valid,
    split_part(rut, '-', 1) || '-' || digit AS expected
FROM digits

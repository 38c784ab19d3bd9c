-- The user's own companies, one row per company of Tu Pana: whose RUT company_rut is in the
-- other marts.
-- company_rut: RUT of the company.
-- company_name: Registered name; NULL while the registry row has not been read.
-- master_entity_id: Tu Pana's id of the company.
-- as_of: The day of the published tables, in Santiago.
SELECT
    c.rut AS company_rut,
    c.name AS company_name,
    c.master_entity_id,
    k.as_of
FROM staging.companies AS c
CROSS JOIN staging.calendar AS k

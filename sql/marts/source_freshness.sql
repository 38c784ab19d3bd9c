-- How recently Tu Pana read SII for each company, by kind of data: what SII shows after that
-- cannot be in these tables yet. Empty where the API does not tell.
-- company_rut: The user's company.
-- scrape_type: ISSUED_DOCS, RECEIVED_DOCS, PURCHASE_BOOK …
-- last_success_at: Last time Tu Pana read it at SII; NULL if never.
-- last_status: in_progress, completed or failed: how its last try went.
-- frequency_hours: How often Tu Pana reads it.
-- late_after: When two readings in a row have been missed; NULL if it was never read.
-- status: fresh, late or never_read.
-- as_of: The day of the status, in Santiago.
SELECT
    c.rut AS company_rut,
    s.scrape_type,
    s.last_success_at,
    s.last_status,
    s.sync_frequency_hours AS frequency_hours,
    s.last_success_at + to_hours(2 * s.sync_frequency_hours) AS late_after,
    CASE
        WHEN s.last_success_at IS NULL THEN 'never_read'
        WHEN s.last_success_at + to_hours(2 * s.sync_frequency_hours) < k.as_of_time THEN 'late'
        ELSE 'fresh'
    END AS status,
    k.as_of
FROM raw.sync_status AS s
INNER JOIN staging.companies AS c ON s.master_entity_id = c.master_entity_id
CROSS JOIN staging.calendar AS k
WHERE s._deleted_at IS NULL

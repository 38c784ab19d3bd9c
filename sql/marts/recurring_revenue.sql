-- What the scheduled documents of the user's companies bring if they go on as they are, by
-- currency: UF, USD and pesos are never added. The amount is what the schedule says of each
-- run; the API does not say whether it holds IVA.
-- company_rut: The user's company: the issuer.
-- currency: Currency of the amounts.
-- frequency: daily, weekly, monthly, quarterly, semiannual or yearly.
-- schedules: Active schedules.
-- customers: Different receivers.
-- amount_per_run: Sum of their amounts, one run each.
-- annual_amount: The same times the runs of a year (365, 52, 12, 4, 2, 1); NULL for an unknown frequency.
-- monthly_amount: A twelfth of it, rounded to 4 decimals.
-- next_execution: When the next of them runs.
-- ending_schedules: Schedules among them that have an end.
-- as_of: The day these figures are of, in Santiago.
WITH active AS (
    SELECT
        coalesce(s.sender_rut, c.rut) AS company_rut,
        coalesce(upper(trim(s.currency)), 'CLP') AS currency,
        lower(s.frequency) AS frequency,
        coalesce(s.receiver_rut, s.receiver_id) AS receiver,
        s.amount,
        CASE lower(s.frequency)
            WHEN 'daily' THEN 365 WHEN 'weekly' THEN 52 WHEN 'monthly' THEN 12
            WHEN 'quarterly' THEN 4 WHEN 'semiannual' THEN 2 WHEN 'yearly' THEN 1
        END AS runs,
        s.next_execution,
        coalesce(s.end_type <> 'never', s.end_date IS NOT NULL) AS is_ending
    FROM raw.scheduled_documents AS s
    LEFT JOIN staging.companies AS c ON s.master_entity_id = c.master_entity_id
    CROSS JOIN staging.calendar AS k
    LEFT JOIN ref.dte_types AS t ON s.dte_type_code = t.code
    WHERE
        s._deleted_at IS NULL AND lower(s.status) = 'active'
        AND coalesce(s.end_date >= k.as_of, true)
        AND coalesce(s.completed_occurrences < s.max_occurrences, true)
        -- Revenue: what a seller issues and that is no credit note or dispatch note.
        AND coalesce(t.issuer_is_seller AND t.book_sign > 0, true)
)

SELECT
    a.company_rut,
    a.currency,
    a.frequency,
    count(*) AS schedules,
    count(DISTINCT a.receiver) AS customers,
    sum(a.amount)::DECIMAL(18, 4) AS amount_per_run,
    (sum(a.amount) * any_value(a.runs))::DECIMAL(18, 4) AS annual_amount,
    round(sum(a.amount) * any_value(a.runs) / 12, 4)::DECIMAL(18, 4) AS monthly_amount,
    min(a.next_execution) AS next_execution,
    count(*) FILTER (a.is_ending) AS ending_schedules,
    any_value(k.as_of) AS as_of
FROM active AS a
CROSS JOIN staging.calendar AS k
GROUP BY a.company_rut, a.currency, a.frequency

-- When the open receivables in pesos may come in, by customer and week. Expected day = due
-- date + the median days late of that debtor (three dated payments at least), else of the
-- company's debtors (ten at least), else the due date itself; a day already past is this
-- week's. What a person says in ref.collection_overrides wins; what is claimed or in
-- collection without a date has no week. The weeks add up to the open receivables.
-- company_rut: The user's company: the seller.
-- counterparty_rut: RUT of the customer.
-- counterparty_name: Name of the customer.
-- week: Monday of the week; NULL when nobody can say.
-- basis: override, debtor, company, due_date, claimed, in_collection or no_due_date.
-- documents: Documents.
-- expected_clp: Their open balance, whole pesos.
-- overdue_clp: Part of it past due at as_of.
-- as_of: The day these figures are of, in Santiago.
WITH overrides AS (
    SELECT issuer_rut, dte_type_code, folio, max(expected_on) AS expected_on
    FROM ref.collection_overrides
    GROUP BY ALL
),

judged AS (
    SELECT
        r.company_rut,
        r.counterparty_rut,
        r.counterparty_name,
        r.date_issued,
        r.open_balance_clp,
        r.days_overdue,
        r.as_of,
        CASE
            WHEN o.expected_on IS NOT NULL THEN 'override'
            WHEN o.issuer_rut IS NOT NULL THEN 'in_collection'
            WHEN r.is_claimed THEN 'claimed'
            WHEN r.due_date IS NULL THEN 'no_due_date'
            WHEN h.paid_documents >= 3 THEN 'debtor'
            WHEN c.paid_documents >= 10 THEN 'company'
            ELSE 'due_date'
        END AS basis,
        CASE basis
            WHEN 'override' THEN o.expected_on
            WHEN 'debtor' THEN r.due_date + h.median_days_late
            WHEN 'company' THEN r.due_date + c.median_days_late
            WHEN 'due_date' THEN r.due_date
        END AS expected_on
    FROM marts.receivables AS r
    LEFT JOIN overrides AS o
        ON
            r.issuer_rut = o.issuer_rut
            AND r.dte_type_code = o.dte_type_code
            AND r.folio = o.folio
    LEFT JOIN marts.payment_habits AS h
        ON r.company_rut = h.company_rut AND r.counterparty_rut = h.counterparty_rut
    LEFT JOIN marts.payment_habits AS c
        ON r.company_rut = c.company_rut AND c.counterparty_rut IS NULL
    WHERE r.open_balance_clp > 0 AND r.currency = 'CLP'
)

SELECT
    company_rut,
    counterparty_rut,
    max_by(
        counterparty_name, (coalesce(date_issued, DATE '1900-01-01'), counterparty_name)
    ) AS counterparty_name,
    -- greatest() passes over a NULL: no day is no day.
    if(expected_on IS NULL, NULL, date_trunc('week', greatest(expected_on, as_of))::DATE) AS week,
    basis,
    count(*) AS documents,
    sum(open_balance_clp)::BIGINT AS expected_clp,
    coalesce(sum(open_balance_clp) FILTER (days_overdue > 0), 0)::BIGINT AS overdue_clp,
    as_of
FROM judged
GROUP BY
    company_rut, counterparty_rut, week, basis, as_of,
    if(counterparty_rut IN ('55555555-5', '66666666-6'), counterparty_name, NULL)

-- What the law adds to invoices paid late (Ley 19.983 as amended by Ley 21.131): a
-- fixed 1 % of the unpaid balance, and current interest from the first day of delay. The
-- rate is CMF's and changes monthly: it is read from ref.interest_rates, shipped empty, and
-- the interest is NULL until that table covers the whole delay. Simple interest, day by day
-- at the rate in force, on today's balance.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- company_rut: The user's company: the seller.
-- counterparty_rut: RUT of the debtor.
-- counterparty_name: Its name.
-- due_date: When it was to be paid.
-- due_date_source: document, reception+30 or issue+30.
-- days_late: Days from due date to as_of.
-- open_balance_clp: Unpaid balance, whole pesos.
-- is_claimed: The buyer disputes it: the delay may be justified.
-- fixed_compensation_clp: 1 % of the balance, half up.
-- interest_clp: Current interest, whole pesos, half up; NULL unless the rates cover the delay.
-- interest_missing_from: First day of the delay without a rate; NULL when none lacks.
-- document_id: Tu Pana's id.
-- as_of: The day these figures are of, in Santiago.
WITH late AS (
    SELECT * FROM marts.receivables
    -- Ley 19.983 is about invoices.
    WHERE
        dte_type_code IN ('33', '34', '43', '46') AND open_balance_clp > 0 AND days_overdue > 0
),

rates AS (
    -- A day named twice has the highest rate once: no guess which was meant.
    SELECT
        valid_from,
        max(annual_percent) AS annual_percent,
        min(days_in_year) AS days_in_year,
        lead(valid_from) OVER (ORDER BY valid_from) AS valid_to
    FROM ref.interest_rates
    WHERE valid_from IS NOT NULL AND annual_percent IS NOT NULL AND days_in_year IN (360, 365)
    GROUP BY valid_from
),

-- Delays of one span bear the same factor, whatever the document.
spans AS (SELECT DISTINCT due_date, as_of FROM late),

factors AS (
    SELECT
        s.due_date,
        -- 26280 is a multiple of 360 and of 365: percent × days stays exact.
        sum(
            r.annual_percent * (26280 // r.days_in_year)
            * (least(coalesce(r.valid_to, s.as_of + 1), s.as_of + 1)
                - greatest(r.valid_from, s.due_date + 1))
        )::DECIMAL(28, 4) AS factor,
        min(r.valid_from) AS covered_from
    FROM spans AS s
    INNER JOIN rates AS r
        ON r.valid_from <= s.as_of AND coalesce(r.valid_to > s.due_date + 1, true)
    GROUP BY s.due_date
)

SELECT
    l.issuer_rut,
    l.dte_type_code,
    l.folio,
    l.company_rut,
    l.counterparty_rut,
    l.counterparty_name,
    l.due_date,
    l.due_date_source,
    l.days_overdue AS days_late,
    l.open_balance_clp,
    l.is_claimed,
    ((l.open_balance_clp + 50) // 100)::BIGINT AS fixed_compensation_clp,
    if(
        f.covered_from <= l.due_date + 1,
        ((l.open_balance_clp::HUGEINT * (f.factor * 10000)::HUGEINT + 13140000000)
            // 26280000000)::BIGINT, NULL
    ) AS interest_clp,
    if(coalesce(f.covered_from <= l.due_date + 1, false), NULL, l.due_date + 1)
        AS interest_missing_from,
    l.document_id,
    l.as_of
FROM late AS l
LEFT JOIN factors AS f ON l.due_date = f.due_date

-- Days sales outstanding by company and month: receivables / credit sales × days, both with
-- IVA, without receipts, cash, free and ceded documents. Simple DSO jumps with the seasons;
-- count-back asks instead how many days of the latest sales the receivables are. NULL where
-- a share of the receivables is not known: payments made before the first sync have no date.
-- company_rut: The user's company: the seller.
-- month: First day of the month.
-- month_end: Last day that counts: the month's, or the day of the figures in the last row.
-- credit_sales_clp: Credit sales of the month less credit notes, with IVA.
-- receivables_clp: Open balance at month_end; a lower bound where unknown_clp is not 0.
-- unknown_clp: Documents issued by then and paid nobody knows when, not in the data by then.
-- basis: observed, or before_first_sync where unknown_clp is not 0.
-- dso_simple: Receivables / sales of the month × its days.
-- dso_3_months: The same over this month and the two before.
-- dso_count_back: Days of the latest sales that make up the receivables; NULL too when all sales in the data do not.
-- as_of: The day these figures are of, in Santiago.
WITH back AS (
    SELECT
        e.company_rut,
        e.month,
        e.receivables_clp,
        s.days,
        s.credit_sales_clp AS sales,
        sum(s.credit_sales_clp) OVER (
            PARTITION BY e.company_rut, e.month ORDER BY s.month DESC
        ) - s.credit_sales_clp AS later_sales
    FROM marts.credit_months AS e
    INNER JOIN marts.credit_months AS s ON e.company_rut = s.company_rut AND s.month <= e.month
),

counted AS (
    SELECT
        company_rut,
        month,
        sum(
            -- A month whose notes exceed its invoices has no sales to wait for.
            CASE
                WHEN sales <= 0 OR receivables_clp <= later_sales THEN 0
                WHEN receivables_clp >= later_sales + sales THEN days::DECIMAL(18, 4)
                ELSE ((receivables_clp - later_sales)::DECIMAL(28, 0) * days / sales)
                    ::DECIMAL(18, 4)
            END
        ) AS days,
        sum(sales) >= any_value(receivables_clp) AS is_whole
    FROM back
    GROUP BY company_rut, month
),

rolling AS (
    SELECT
        *,
        sum(credit_sales_clp) OVER quarter AS sales_3,
        sum(days) OVER quarter AS days_3,
        count(*) OVER quarter = 3 AS is_quarter
    FROM marts.credit_months
    WINDOW quarter AS (
        PARTITION BY company_rut ORDER BY month ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
    )
)

SELECT
    r.company_rut,
    r.month,
    r.month_end,
    r.credit_sales_clp,
    r.receivables_clp,
    r.unknown_clp,
    if(r.unknown_clp = 0, 'observed', 'before_first_sync') AS basis,
    if(
        r.unknown_clp = 0 AND r.credit_sales_clp > 0,
        round(r.receivables_clp::DECIMAL(28, 0) * r.days / r.credit_sales_clp, 1), NULL
    )::DECIMAL(12, 1) AS dso_simple,
    if(
        r.unknown_clp = 0 AND r.is_quarter AND r.sales_3 > 0,
        round(r.receivables_clp::DECIMAL(28, 0) * r.days_3 / r.sales_3, 1), NULL
    )::DECIMAL(12, 1) AS dso_3_months,
    if(r.unknown_clp = 0 AND c.is_whole, round(c.days, 1), NULL)::DECIMAL(12, 1) AS dso_count_back,
    k.as_of
FROM rolling AS r
CROSS JOIN staging.calendar AS k
INNER JOIN counted AS c ON r.company_rut = c.company_rut AND r.month = c.month

-- What marts.dso_monthly is computed from: credit sales and open receivables of each company
-- by month, with IVA: without receipts (39,
-- 41), cash and free documents, and documents that are ceded today, which are nobody's wait.
-- company_rut: The user's company: the seller.
-- month: First day of the month.
-- month_end: Last day that counts: the month's, or the day of the figures.
-- days: Days of the month up to it.
-- credit_sales_clp: Invoices and debit notes less credit notes of the month.
-- receivables_clp: Open balance at month_end, as far as known.
-- unknown_clp: Documents issued by then and paid nobody knows when, not in the data by then.
WITH credit AS (
    SELECT
        r.doc_key, r.company_rut, r.date_issued, r.book_sign, r.total_clp, r.paid_at_source,
        d.exchange_rate, p.seen_day, p.start_day
    FROM marts.receivables AS r
    INNER JOIN marts.documents AS d ON r.doc_key = d.doc_key
    INNER JOIN staging.positions AS p ON r.doc_key = p.doc_key AND p.role = 'seller'
    WHERE NOT r.is_closed_at_issue AND NOT r.is_ceded AND r.date_issued IS NOT NULL
),

months AS (
    SELECT
        s.company_rut,
        unnest(generate_series(s.first_month, date_trunc('month', c.as_of), INTERVAL 1 MONTH))
        ::DATE AS month,
        least(last_day(month), c.as_of) AS month_end,
        (month_end - month + 1)::INTEGER AS days
    FROM (
        SELECT company_rut, date_trunc('month', min(start_day)) AS first_month
        FROM credit GROUP BY company_rut
    ) AS s
    CROSS JOIN staging.calendar AS c
),

sales AS (
    SELECT
        company_rut, date_trunc('month', start_day)::DATE AS month,
        sum(book_sign * total_clp) AS clp
    FROM credit
    GROUP BY ALL
),

-- A balance that begins adds to every later month's end, one that ends takes from it.
steps AS (
    SELECT
        c.company_rut,
        date_trunc('month', s.day)::DATE AS month,
        sum(s.sign * round(b.open_balance::DECIMAL(28, 4) * c.exchange_rate, 0))
            FILTER (b.open_balance <> 0) AS clp
    FROM credit AS c
    INNER JOIN staging.balance_periods AS b ON c.doc_key = b.doc_key AND b.role = 'seller'
    CROSS JOIN LATERAL (
        SELECT b.from_day AS day, 1 AS sign
        UNION ALL
        SELECT b.to_day, -1 WHERE b.to_day IS NOT NULL
    ) AS s
    GROUP BY ALL
),

unknown AS (
    SELECT c.company_rut, date_trunc('month', s.day)::DATE AS month, sum(s.sign * c.total_clp) AS clp
    FROM credit AS c
    CROSS JOIN LATERAL (
        SELECT c.start_day AS day, 1 AS sign
        UNION ALL
        SELECT greatest(c.seen_day, c.start_day), -1
    ) AS s
    WHERE c.paid_at_source = 'unknown' AND c.book_sign > 0
    GROUP BY ALL
)

SELECT
    m.company_rut,
    m.month,
    m.month_end,
    m.days,
    coalesce(s.clp, 0)::BIGINT AS credit_sales_clp,
    coalesce(sum(b.clp) OVER through, 0)::BIGINT AS receivables_clp,
    coalesce(sum(u.clp) OVER through, 0)::BIGINT AS unknown_clp
FROM months AS m
LEFT JOIN sales AS s ON m.company_rut = s.company_rut AND m.month = s.month
LEFT JOIN steps AS b ON m.company_rut = b.company_rut AND m.month = b.month
LEFT JOIN unknown AS u ON m.company_rut = u.company_rut AND m.month = u.month
WINDOW through AS (PARTITION BY m.company_rut ORDER BY m.month)

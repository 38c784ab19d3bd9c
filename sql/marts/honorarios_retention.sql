-- Retention on fees that the user's companies owe to SII (F29 code 151), by month: fee
-- receipts (80) received whose payer withholds, and third-party ones (90) that they issue.
-- Ley 21.133 makes it due with the month of payment; the API does not date these payments,
-- so the month is the document's own.
-- company_rut: The user's company: the payer.
-- period: Month of issue, YYYYMM.
-- period_basis: Always issue: the month of payment is not known.
-- documents: Fee receipts with retention.
-- gross_clp: Gross fees.
-- retention_clp: Retention to pay to SII.
-- net_clp: Fees to pay to the providers.
-- documents_without_retention: Fee receipts of the month where nothing says who withholds, or whose year has no rate: not in the sums.
-- as_of: The day these figures are of, in Santiago.
SELECT
    p.company_rut,
    strftime(p.date_issued, '%Y%m') AS period,
    'issue' AS period_basis,
    count(*) FILTER (p.retention_amount > 0) AS documents,
    coalesce(sum(p.amount) FILTER (p.retention_amount > 0), 0)::BIGINT AS gross_clp,
    coalesce(sum(p.retention_amount), 0)::BIGINT AS retention_clp,
    coalesce(sum(p.amount - p.retention_amount) FILTER (p.retention_amount > 0), 0)::BIGINT
        AS net_clp,
    count(*) FILTER (
        d.retention_rate IS NULL AND d.retention_type IS DISTINCT FROM 'RETCONTRIBUYENTE'
    ) AS documents_without_retention,
    p.as_of
FROM marts.payables AS p
INNER JOIN marts.documents AS d ON p.doc_key = d.doc_key
-- A fee paid in cash owes its retention like any other; an annulled one (rate 0) owes none.
WHERE
    p.dte_type_code IN ('80', '90') AND d.retention_rate IS DISTINCT FROM 0
    AND p.date_issued IS NOT NULL
GROUP BY p.company_rut, strftime(p.date_issued, '%Y%m'), p.as_of

-- How late each debtor has paid, from documents whose payment has a date; what was paid
-- before the first sync has none and is left out. One row per debtor and one per company
-- (counterparty_rut NULL).
-- company_rut: The user's company: the seller.
-- counterparty_rut: RUT of the debtor; NULL in the row of all of them.
-- paid_documents: Paid documents with a payment date.
-- median_days_late: Median of days from due date to payment; negative is early.
-- average_days_to_pay: Days from issue to payment, weighted by amount.
WITH paid AS (
    SELECT
        company_rut,
        -- These two RUTs are many debtors: no habit of one.
        if(counterparty_rut IN ('55555555-5', '66666666-6'), NULL, counterparty_rut)
            AS counterparty_rut,
        timezone('America/Santiago', paid_at)::DATE - due_date AS days_late,
        timezone('America/Santiago', paid_at)::DATE - date_issued AS days_to_pay,
        total_clp
    FROM marts.receivables
    WHERE
        is_paid AND paid_at IS NOT NULL AND book_sign > 0 AND due_date IS NOT NULL
        AND date_issued IS NOT NULL AND NOT is_closed_at_issue AND total_clp > 0
)

SELECT
    company_rut,
    counterparty_rut,
    count(*) AS paid_documents,
    quantile_disc(days_late, 0.5)::INTEGER AS median_days_late,
    round(sum(days_to_pay::HUGEINT * total_clp) / sum(total_clp), 1)::DECIMAL(9, 1)
        AS average_days_to_pay
FROM paid
WHERE counterparty_rut IS NOT NULL
GROUP BY company_rut, counterparty_rut
UNION ALL
SELECT
    company_rut,
    NULL,
    count(*),
    quantile_disc(days_late, 0.5)::INTEGER,
    round(sum(days_to_pay::HUGEINT * total_clp) / sum(total_clp), 1)::DECIMAL(9, 1)
FROM paid
GROUP BY company_rut

-- What each customer owes, how late, what is disputed or ceded, and how it has paid so far.
-- 55555555-5 and 66666666-6 are many customers under one RUT: there one row per name.
-- company_rut: The user's company: the seller.
-- counterparty_rut: RUT of the customer.
-- counterparty_name: Name of the customer, the latest one seen.
-- counterparty_is_own: The customer is a company of the user too.
-- open_documents: Documents with an open balance.
-- open_balance_clp: Open balance, whole pesos.
-- documents_without_clp: Open documents whose balance cannot be said in pesos, not in the sums.
-- overdue_clp: Part of it past due.
-- overdue_90_clp: Part of it more than 90 days past due.
-- claimed_clp: Part of it that the customer disputes.
-- unapplied_credit_clp: Credit of the customer not applied to any document.
-- net_exposure_clp: Open balance less unapplied credit, not below zero.
-- ceded_clp: Owed by the customer to assignees: a contingent amount where the factor has recourse.
-- share_percent: Share of the company's open balance.
-- oldest_due_date: Earliest due date among what is open.
-- maximum_days_overdue: Days past due of the latest one; NULL when nothing is open.
-- sales_12_months_clp: Invoices less credit notes of the last 365 days, with IVA.
-- first_document_on: Issue date of the first document.
-- last_document_on: Issue date of the last one.
-- paid_documents: Paid documents whose payment date is known.
-- median_days_late: Median of days from due date to payment; NULL when no date is known.
-- average_days_to_pay: Days from issue to payment, weighted by amount; NULL likewise.
-- as_of: The day these figures are of, in Santiago.
WITH customers AS (
    SELECT
        company_rut,
        counterparty_rut,
        max_by(
            counterparty_name, (coalesce(date_issued, DATE '1900-01-01'), counterparty_name)
        ) AS counterparty_name,
        bool_or(counterparty_is_own) AS counterparty_is_own,
        count(*) FILTER (bucket IS NOT NULL) AS open_documents,
        coalesce(sum(open_balance_clp), 0)::BIGINT AS open_balance_clp,
        count(*) FILTER (bucket IS NOT NULL AND open_balance_clp IS NULL) AS documents_without_clp,
        coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)::BIGINT AS overdue_clp,
        coalesce(sum(open_balance_clp) FILTER (bucket = '90+'), 0)::BIGINT AS overdue_90_clp,
        coalesce(sum(open_balance_clp) FILTER (is_claimed), 0)::BIGINT AS claimed_clp,
        coalesce(sum(unapplied_credit_clp), 0)::BIGINT AS unapplied_credit_clp,
        coalesce(sum(ceded_amount) FILTER (currency = 'CLP'), 0)::BIGINT AS ceded_clp,
        min(due_date) FILTER (bucket IS NOT NULL) AS oldest_due_date,
        max(days_overdue) FILTER (bucket IS NOT NULL) AS maximum_days_overdue,
        coalesce(sum(book_sign * total_clp) FILTER (date_issued > as_of - 365), 0)::BIGINT
            AS sales_12_months_clp,
        min(date_issued) AS first_document_on,
        max(date_issued) AS last_document_on,
        any_value(as_of) AS as_of
    FROM marts.receivables
    GROUP BY
        company_rut, counterparty_rut,
        if(counterparty_rut IN ('55555555-5', '66666666-6'), counterparty_name, NULL)
)

SELECT
    c.company_rut,
    c.counterparty_rut,
    c.counterparty_name,
    c.counterparty_is_own,
    c.open_documents,
    c.open_balance_clp,
    c.documents_without_clp,
    c.overdue_clp,
    c.overdue_90_clp,
    c.claimed_clp,
    c.unapplied_credit_clp,
    greatest(c.open_balance_clp - c.unapplied_credit_clp, 0)::BIGINT AS net_exposure_clp,
    c.ceded_clp,
    round(
        c.open_balance_clp * 100
        / nullif(sum(c.open_balance_clp) OVER (PARTITION BY c.company_rut), 0), 2
    )::DECIMAL(5, 2) AS share_percent,
    c.oldest_due_date,
    c.maximum_days_overdue,
    c.sales_12_months_clp,
    c.first_document_on,
    c.last_document_on,
    coalesce(h.paid_documents, 0) AS paid_documents,
    h.median_days_late,
    h.average_days_to_pay,
    c.as_of
FROM customers AS c
LEFT JOIN marts.payment_habits AS h
    ON c.company_rut = h.company_rut AND c.counterparty_rut = h.counterparty_rut

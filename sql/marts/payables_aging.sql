-- Open payables by supplier and days past due. 55555555-5 (every foreign buyer) and
-- 66666666-6 (unnamed buyer) are many parties under one RUT: there one row per name.
-- company_rut: The user's company: the buyer.
-- counterparty_rut: RUT of the supplier.
-- counterparty_name: Name of the supplier, the latest one seen.
-- bucket: not_due, 1-30, 31-60, 61-90 or 90+ days past due.
-- documents: Documents with an open balance.
-- open_balance_clp: Sum of the open balances, whole pesos; NULL if none can be said in pesos.
-- documents_without_clp: Documents among them whose balance cannot be said in pesos.
-- claimed_balance_clp: Part of the balance that the company disputes.
-- as_of: The day these figures are of, in Santiago.
SELECT
    company_rut,
    counterparty_rut,
    -- The latest name; the name itself breaks ties, so that loading order does not matter.
    max_by(
        counterparty_name, (coalesce(date_issued, DATE '1900-01-01'), counterparty_name)
    ) AS counterparty_name,
    bucket,
    count(*) AS documents,
    sum(open_balance_clp)::BIGINT AS open_balance_clp,
    count(*) FILTER (open_balance_clp IS NULL) AS documents_without_clp,
    coalesce(sum(open_balance_clp) FILTER (is_claimed), 0)::BIGINT AS claimed_balance_clp,
    any_value(as_of) AS as_of
FROM marts.payables
WHERE bucket IS NOT NULL
-- SII Formato DTE 2.2: the foreign receiver's RUT, and the one of receipts without a buyer.
GROUP BY
    company_rut, counterparty_rut, bucket,
    if(counterparty_rut IN ('55555555-5', '66666666-6'), counterparty_name, NULL)

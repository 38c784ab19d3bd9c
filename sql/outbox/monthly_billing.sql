-- Invoices of the month for the contracts in ref.billing_contracts: one for each contract that
-- runs on its billing day, from that day on. Row key and date follow from contract and month,
-- so that planning again on any later day of the month asks for the same documents, not for
-- new ones. Without contracts there is nothing to bill.
-- row_key: billing:CONTRACT:YYYY-MM.
-- dte_type: Type of the contract: 33 or 34.
-- issuer_rut: The company that bills.
-- receiver_rut: The customer.
-- receiver_name: Its name.
-- date_issued: The billing day of this month.
-- payment_method: 2, credit.
-- due_date: Billing day and payment days.
-- item_name: What is billed.
-- item_description: The month it is for.
-- quantity: As contracted.
-- unit_price: As contracted, without IVA.
-- discount_percent: As contracted; NULL for none.
WITH billed AS (
    SELECT
        b.*,
        k.as_of,
        (date_trunc('month', k.as_of) + to_days(least(
            coalesce(b.billing_day, 1), day(last_day(k.as_of))
        ) - 1))::DATE AS billed_on
    FROM ref.billing_contracts AS b
    CROSS JOIN staging.calendar AS k
)

SELECT
    'billing:' || contract_id || ':' || strftime(billed_on, '%Y-%m') AS row_key,
    coalesce(dte_type_code, '33') AS dte_type,
    issuer_rut,
    receiver_rut,
    receiver_name,
    billed_on AS date_issued,
    '2' AS payment_method,
    billed_on + coalesce(payment_days, 30) AS due_date,
    item_name,
    'Mes ' || strftime(billed_on, '%Y-%m') AS item_description,
    coalesce(quantity, 1) AS quantity,
    unit_price,
    discount_percent
FROM billed
WHERE
    billed_on <= as_of
    AND coalesce(valid_from <= billed_on, true)
    AND coalesce(billed_on <= valid_to, true)
ORDER BY issuer_rut, contract_id

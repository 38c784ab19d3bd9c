-- IVA of each company by month, from its documents: debit of what it sold, by month of issue;
-- credit of what it bought, in the month in which SII's register took it in (book_metadata).
-- Where the API does not say that month the credit is NULL: a guess would move tax between
-- months (DL 825 art. 23 and 24: the month of receipt, or one of the two after).
-- A 46 received is a sale of ours whose IVA the buyer withholds and declares: it is not here,
-- and neither are the buyer's notes on it, though SII's register has those among our purchases
-- (marked as notes on a purchase invoice). Where the buyer did not withhold, it is our debit.
-- Control figures, not a tax return: no proportional or non-recoverable credit is told apart.
-- company_rut: The user's company.
-- period: Month, YYYYMM.
-- sales_documents: Documents issued (33, 34, 39, 41, 43, 56, 61, 110 …).
-- sales_net_clp: Net of sales less credit notes.
-- sales_exempt_clp: Exempt sales, exports included (F29 codes 142 and 585 count documents apart).
-- iva_debit_clp: IVA of sales less credit notes.
-- purchase_documents: Purchases of the month; NULL when some cannot be given a month.
-- purchases_net_clp: Net of purchases less credit notes; NULL likewise.
-- purchases_exempt_clp: Exempt purchases; NULL likewise.
-- iva_credit_clp: IVA of purchases less credit notes, withheld IVA included; NULL likewise.
-- iva_withheld_clp: IVA that the company withheld on its 46 and owes to SII; NULL likewise.
-- iva_balance_clp: Debit + withheld − credit; negative is in favour of the company; NULL likewise.
-- purchases_without_month: Purchases that could be of this month and whose month nobody knows.
-- documents_without_clp: Documents of the month in foreign currency without a rate, not in the sums.
-- as_of: The day these figures are of, in Santiago.
WITH subjects AS (
    SELECT
        doc_key,
        dte_type_code,
        root_dte_type_code,
        seller_rut,
        our_role,
        book_sign,
        date_issued,
        net_amount,
        exempt_amount,
        iva_amount,
        exchange_rate,
        total_clp,
        coalesce('46' IN (dte_type_code, root_dte_type_code), false) AS is_on_46,
        -- DL 825 art. 3: where no flag says it, a total without its IVA is one the buyer kept.
        is_on_46 AND coalesce(
            vat_withheld, amount = coalesce(net_amount, 0) + coalesce(exempt_amount, 0), false
        ) AS is_withheld
    FROM marts.documents
),

placed AS (
    SELECT
        e.doc_key,
        e.company_rut,
        e.period,
        e.issue_period,
        -- A note on a 46 adjusts a purchase, though it is issued.
        if(d.is_on_46, 'COMPRA', e.operation) AS operation,
        e.operation = 'COMPRA' AND e.period_source NOT IN ('book', 'claimed') AS is_dated_by_guess,
        coalesce(e.operation = 'COMPRA' AND NOT e.in_book, false) AS is_left_out
    FROM staging.book_entries AS e
    INNER JOIN subjects AS d ON e.doc_key = d.doc_key
    WHERE NOT (e.document_type = 'received' AND d.is_on_46)
    UNION ALL
    SELECT
        doc_key, seller_rut, strftime(date_issued, '%Y%m'), strftime(date_issued, '%Y%m'),
        'VENTA', false, false
    FROM subjects
    WHERE is_on_46 AND our_role = 'seller' AND NOT is_withheld AND iva_amount > 0
),

entries AS (
    SELECT
        e.* EXCLUDE (doc_key),
        d.total_clp IS NULL AS is_without_clp,
        d.book_sign AS sign,
        -- 34, 41 and exports bear no IVA: what they, and notes on them, call net is exempt.
        t.is_export OR d.dte_type_code IN ('34', '41') OR (
            coalesce(d.root_dte_type_code IN ('34', '41'), false) AND coalesce(d.iva_amount, 0) = 0
        ) AS is_exempt,
        round(coalesce(d.net_amount, 0)::DECIMAL(28, 4) * d.exchange_rate, 0) AS net,
        round(coalesce(d.exempt_amount, 0)::DECIMAL(28, 4) * d.exchange_rate, 0) AS exempt,
        round(coalesce(d.iva_amount, 0)::DECIMAL(28, 4) * d.exchange_rate, 0) AS iva,
        d.is_withheld,
        d.total_clp
    FROM placed AS e
    INNER JOIN subjects AS d ON e.doc_key = d.doc_key
    INNER JOIN ref.dte_types AS t ON d.dte_type_code = t.code
),

summed AS (
    SELECT
        company_rut,
        period,
        count(*) FILTER (operation = 'VENTA') AS sales_documents,
        sum(if(is_exempt, 0, sign * net)) FILTER (operation = 'VENTA') AS sales_net,
        sum(sign * if(is_exempt, total_clp, exempt)) FILTER (operation = 'VENTA') AS sales_exempt,
        sum(sign * iva) FILTER (operation = 'VENTA') AS debit,
        count(*) FILTER (operation = 'COMPRA') AS purchase_documents,
        sum(if(is_exempt, 0, sign * net)) FILTER (operation = 'COMPRA') AS purchases_net,
        sum(sign * if(is_exempt, total_clp, exempt)) FILTER (operation = 'COMPRA')
            AS purchases_exempt,
        sum(sign * iva) FILTER (operation = 'COMPRA') AS credit,
        sum(sign * iva) FILTER (is_withheld) AS withheld,
        count(*) FILTER (is_without_clp) AS without_clp
    FROM entries
    WHERE period IS NOT NULL AND NOT is_left_out
    GROUP BY company_rut, period
),

-- The months in which a purchase without a month may stand: its own and the two after.
guesses AS (
    SELECT
        e.company_rut,
        strftime(strptime(e.issue_period, '%Y%m') + to_months(n.after::INTEGER), '%Y%m') AS period,
        count(*) AS documents
    FROM entries AS e
    CROSS JOIN range(3) AS n(after)
    WHERE e.is_dated_by_guess AND e.issue_period IS NOT NULL
    GROUP BY ALL
)

SELECT
    s.company_rut,
    s.period,
    s.sales_documents,
    coalesce(s.sales_net, 0)::BIGINT AS sales_net_clp,
    coalesce(s.sales_exempt, 0)::BIGINT AS sales_exempt_clp,
    coalesce(s.debit, 0)::BIGINT AS iva_debit_clp,
    if(g.documents IS NULL, s.purchase_documents, NULL) AS purchase_documents,
    if(g.documents IS NULL, coalesce(s.purchases_net, 0), NULL)::BIGINT AS purchases_net_clp,
    if(g.documents IS NULL, coalesce(s.purchases_exempt, 0), NULL)::BIGINT AS purchases_exempt_clp,
    if(g.documents IS NULL, coalesce(s.credit, 0), NULL)::BIGINT AS iva_credit_clp,
    if(g.documents IS NULL, coalesce(s.withheld, 0), NULL)::BIGINT AS iva_withheld_clp,
    if(
        g.documents IS NULL,
        coalesce(s.debit, 0) + coalesce(s.withheld, 0) - coalesce(s.credit, 0), NULL
    )::BIGINT AS iva_balance_clp,
    coalesce(g.documents, 0) AS purchases_without_month,
    s.without_clp AS documents_without_clp,
    k.as_of
FROM summed AS s
CROSS JOIN staging.calendar AS k
LEFT JOIN guesses AS g ON s.company_rut = g.company_rut AND s.period = g.period

-- Findings about the money of each document: totals, IVA, lines, currency, retention.
-- check_name: Name of the check.
-- severity: error, warning or info.
-- company_rut: The user's company.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- master_entity_id: Company of document_id.
-- document_type: issued or received: the side of document_id.
-- document_id: Tu Pana's id of the document.
-- message: What is wrong, in a sentence.
-- amount: The amount in question, in the currency of the document; NULL when there is none.
WITH lines AS (
    SELECT
        master_entity_id,
        document_type,
        document_id,
        sum(item_total) AS total,
        -- A line without an amount proves nothing.
        count(*) = count(item_total) AS is_whole
    FROM raw.document_lines
    WHERE _deleted_at IS NULL
    GROUP BY ALL
),

measured AS (
    SELECT
        d.*,
        t.code IS NULL AS is_unknown_type,
        t.has_iva,
        t.is_honorarios,
        l.total AS lines_total,
        -- SII rounds amounts to the peso; foreign currency has decimals of its own.
        if(d.currency = 'CLP', 1, 0.01) AS tolerance,
        coalesce(d.net_amount, 0) + coalesce(d.exempt_amount, 0) AS base,
        d.net_amount IS NOT NULL OR d.exempt_amount IS NOT NULL AS has_base,
        -- Some answers count the exempt amount into the net.
        greatest(coalesce(d.net_amount, 0), coalesce(d.exempt_amount, 0)) AS wide_base,
        coalesce(d.iva_amount, 0) AS iva
    FROM marts.documents AS d
    LEFT JOIN ref.dte_types AS t ON d.dte_type_code = t.code
    LEFT JOIN lines AS l
        ON
            d.master_entity_id = l.master_entity_id
            AND d.document_type = l.document_type
            AND d.document_id = l.document_id
            AND l.is_whole
),

found AS (
    SELECT 'unknown_type' AS check_name, 'warning' AS severity, amount AS value, *,
        'Type ' || coalesce(dte_type_code, '(none)') || ' is not known: no side, no debt.'
            AS message
    FROM measured WHERE is_unknown_type
    UNION ALL
    SELECT 'amount_missing', 'warning', NULL, *,
        'No total, or a negative one: it has no balance.'
    FROM measured WHERE amount IS NULL AND coalesce(book_sign, 0) <> 0
    UNION ALL
    -- SII does not reject an IVA that is not 19 % of the net: one peso is rounding.
    SELECT 'iva_off', 'warning', iva_amount - round(net_amount * 0.19, 0), *,
        'IVA is ' || iva_amount || ', 19 % of the net is ' || round(net_amount * 0.19, 0)::BIGINT || '.'
    FROM measured
    WHERE
        has_iva AND currency = 'CLP' AND iva_amount IS NOT NULL
        AND abs(iva_amount - round(net_amount * 0.19, 0)) > 1
        AND abs(iva_amount - round((net_amount - coalesce(exempt_amount, 0)) * 0.19, 0)) > 1
        -- A note on an exempt invoice bears no IVA.
        AND NOT (iva_amount = 0 AND root_dte_type_code IN ('34', '41'))
    UNION ALL
    -- SII Formato DTE 2.2: total = net + exempt + IVA − withheld IVA (46). What is left may be
    -- an additional tax, which the API does not give apart.
    SELECT 'total_does_not_add_up', 'warning', amount - base - iva, *,
        'Total is ' || amount || ', its parts make ' || (base + iva) || '.'
    FROM measured
    WHERE
        has_base AND NOT is_unknown_type AND dte_type_code <> '43'
        AND abs(amount - base - iva) > tolerance
        AND abs(amount - wide_base - iva) > tolerance
        AND NOT (
            (dte_type_code = '46' OR root_dte_type_code = '46')
            AND coalesce(vat_withheld, true) AND abs(amount - base) <= tolerance
        )
        AND NOT (is_honorarios AND abs(amount - base) <= tolerance)
    UNION ALL
    -- Also proves what the total of a 46, 80, 90 or export means where the answer has no net.
    SELECT 'lines_do_not_add_up', 'info', lines_total - if(has_base, base, amount), *,
        'The lines make ' || lines_total || ', the document ' || if(has_base, base, amount)
        || ': a discount on the whole document would explain it.'
    FROM measured
    WHERE
        (has_base OR is_honorarios OR dte_type_code IN ('46', '110'))
        AND abs(abs(lines_total) - base) > tolerance
        AND abs(abs(lines_total) - wide_base) > tolerance
        AND abs(abs(lines_total) - amount) > tolerance
    UNION ALL
    SELECT 'foreign_currency_without_rate', 'warning', open_balance, *,
        'In ' || coalesce(currency, 'an unknown currency')
        || ' and the document gives no rate: no pesos are said.'
    FROM measured WHERE amount IS NOT NULL AND total_clp IS NULL
    UNION ALL
    SELECT 'retention_unknown', 'warning', amount, *,
        'Nothing says who withholds, or the year has no rate: the balance is the gross fee.'
    FROM measured
    WHERE
        is_honorarios AND retention_rate IS NULL
        AND retention_type IS DISTINCT FROM 'RETCONTRIBUYENTE'
    UNION ALL
    SELECT 'partial_payment_without_amount', 'warning', open_balance, *,
        'Partially paid, and nothing says how much is left: the whole is shown.'
    FROM measured WHERE is_partially_paid AND paid_amount = 0 AND open_balance > 0
)

SELECT
    check_name, severity, company_rut, issuer_rut, dte_type_code, folio, master_entity_id,
    document_type, document_id, message, value::DECIMAL(18, 4) AS amount
FROM found

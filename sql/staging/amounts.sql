-- Money of each document in the currency its amount is really in, its pesos where the
-- document lets one say them, and what the buyer must hand over.
-- What amount_with_iva means: 33, 39, 56, 61: net + exempt + IVA. 34, 41: exempt. 46: what
-- the seller receives, net + exempt when the buyer withholds the IVA. 80, 90: the gross fee
-- before retention. 110, 111, 112: the total in the transaction's currency.
-- doc_key: Key of the document.
-- amount: Total, positive for notes too, in amount_currency; NULL when missing or negative.
-- amount_currency: Currency of amount; NULL for an export document that does not say it.
-- amount_clp: amount in whole pesos; NULL for foreign currency without a rate.
-- exchange_rate: Pesos per unit of amount_currency (1 for pesos); NULL when unknown.
-- retention_rate: Share of an honorarios fee that the payer withholds; NULL when not withheld, 0 of
--   an annulled fee.
-- retention: Fee withheld by the payer, whole pesos.
-- withheld_iva: IVA that amount contains although the buyer withholds it.
-- collectible: amount − retention − withheld IVA, in amount_currency.
WITH currencies AS (
    SELECT
        b.*,
        t.is_note,
        t.is_honorarios,
        CASE
            -- A national DTE is in pesos by format; an export document never is by default.
            WHEN b.currency IS NULL THEN if(coalesce(t.is_export, false), NULL, 'CLP')
            WHEN b.currency IN ('CLP', 'PESO CL', 'PESO CHILENO') THEN 'CLP'
            -- Amount = foreign amount × rate, to the peso: then the amount is in pesos already.
            WHEN
                b.amount_with_iva <> b.original_amount
                AND abs(
                    b.amount_with_iva
                    - round(b.original_amount::DECIMAL(28, 4) * b.exchange_rate, 0)
                ) <= 1
                THEN 'CLP'
            ELSE b.currency
        END AS amount_currency
    FROM staging.both_sides AS b
    LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code
),

positive AS (
    SELECT
        *,
        -- Notes are stored positive (their sign is the type's); a negative total is legal only
        -- in a 43 (SII Formato DTE 2.2) and is no amount to collect.
        CASE
            WHEN is_note THEN abs(amount_with_iva)
            WHEN amount_with_iva >= 0 THEN amount_with_iva
        END AS positive_amount,
        CASE amount_currency WHEN 'CLP' THEN 1::DECIMAL(18, 6) ELSE exchange_rate END AS rate
    FROM currencies
),

rounded AS (
    SELECT
        *,
        -- The peso has no cents; half up, as decimals round.
        if(amount_currency = 'CLP', round(positive_amount, 0), positive_amount)::DECIMAL(18, 4)
            AS amount
    FROM positive
),

withheld AS (
    SELECT
        p.*,
        -- Ley 21.133: the rate of the document's year. A 90 is issued by the payer, who always
        -- withholds; an 80 says who does.
        CASE
            WHEN NOT coalesce(p.is_honorarios, false) THEN NULL
            WHEN p.is_voided THEN 0
            WHEN p.retention_type = 'RETRECEPTOR' THEN h.rate
            WHEN p.dte_type_code = '90' AND p.retention_type IS NULL THEN h.rate
        END AS retention_rate,
        -- DL 825 art. 3: change of subject. The total of a 46 leaves the withheld IVA out; where
        -- a total still holds it, it is taken out here, never twice.
        CASE
            WHEN
                p.dte_type_code IN ('46', '56', '61') AND p.vat_withheld AND p.iva > 0
                AND p.amount = p.net + coalesce(p.exempt, 0) + p.iva
                THEN p.iva
            ELSE 0
        END::DECIMAL(18, 4) AS withheld_iva
    FROM rounded AS p
    ASOF LEFT JOIN ref.honorarios_retention AS h ON p.date_issued >= h.valid_from
)

SELECT
    doc_key,
    amount,
    amount_currency,
    round(amount::DECIMAL(28, 4) * rate, 0)::BIGINT AS amount_clp,
    rate AS exchange_rate,
    retention_rate,
    coalesce(round(amount::DECIMAL(28, 4) * retention_rate, 0), 0)::DECIMAL(18, 4) AS retention,
    withheld_iva,
    (
        amount - coalesce(round(amount::DECIMAL(28, 4) * retention_rate, 0), 0) - withheld_iva
    )::DECIMAL(18, 4) AS collectible
FROM withheld

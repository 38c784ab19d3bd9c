-- The sums that must hold, proved in every run: where one does not, the run stops here, the
-- tables before it stay and nothing is published.
-- proof: What holds.
-- broken: Rows or pesos for which it does not: always 0.
WITH items AS (
    SELECT *, ceded_amount AS gone FROM marts.receivables
    UNION ALL BY NAME
    -- Whoever holds the credit, the buyer still owes it.
    SELECT *, 0 AS gone FROM marts.payables
),

counted AS (
    SELECT
        'every document is once in marts.documents' AS proof,
        (SELECT count(*) - count(DISTINCT doc_key) FROM marts.documents) AS broken
    UNION ALL
    -- Credit beyond the document is only kept in pesos; foreign documents are in the next.
    SELECT
        'balance = total − withheld − credit + debit − paid − ceded, the excess kept apart',
        count(*) FILTER (
            if(has_target IS NULL, amount - retention_amount - withheld_iva_amount, 0)
            - credit_amount + debit_amount - paid_amount - gone
            <> open_balance - unapplied_credit_clp
        )
    FROM items WHERE currency = 'CLP'
    UNION ALL
    SELECT
        'no balance, payment or credit is negative',
        count(*) FILTER (
            open_balance < 0 OR open_balance_clp < 0 OR paid_amount < 0 OR ceded_amount < 0
            OR unapplied_credit_clp < 0 OR total_clp < 0
        )
    FROM items
    UNION ALL
    SELECT
        'the ageing adds up to the receivables',
        coalesce((SELECT sum(open_balance_clp) FROM marts.receivables), 0)
        - coalesce((SELECT sum(open_balance_clp) FROM marts.receivables_aging), 0)
    UNION ALL
    SELECT
        'the ageing adds up to the payables',
        coalesce((SELECT sum(open_balance_clp) FROM marts.payables), 0)
        - coalesce((SELECT sum(open_balance_clp) FROM marts.payables_aging), 0)
)

SELECT
    proof,
    CASE
        WHEN broken = 0 THEN 0
        ELSE error('It does not hold that ' || proof || ': off by ' || broken || '.')
    END::BIGINT AS broken
FROM counted

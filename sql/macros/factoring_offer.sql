-- What an offer of a factor pays and costs, in whole pesos, half up: advance A = F·a, discount
-- D = A·r·d/30 (monthly linear rate), commission C (fixed and share of F) and its IVA, payout
-- = A − D − C − IVA, holdback = F − A, returned on payment less A·r·late/30 for late days.
-- Conventions vary by contract: all are parameters, and none is a market rate.
-- $amount: Face value F, whole pesos.
-- $days: Days from the advance to the expected payment.
-- $monthly_rate: Discount a month: 0.015 is 1.5 %.
-- $advance_rate = 1.0: Share of F that is advanced: 0.95 is 95 %.
-- $commission = 0: Fixed commission without IVA, whole pesos.
-- $commission_rate = 0: Commission as a share of F, without IVA.
-- $days_late = 0: Days the debtor pays late.
-- $discount_on_face = false: The discount is on F instead of A.
-- face_clp: Face value F.
-- advance_clp: Advance A.
-- discount_clp: Discount D.
-- commission_clp: Commission C.
-- commission_iva_clp: IVA on C (19 %, half up).
-- payout_clp: What is paid on the day of the cession.
-- holdback_clp: What is kept until the debtor pays.
-- late_charge_clp: Taken from the holdback for late days.
-- returned_clp: Holdback less the late charge; negative is owed to the factor.
-- cost_clp: Discount, commission, its IVA and late charge.
-- net_clp: What is received in all.
-- monthly_cost_percent: cost_clp as percent of A a month, over days and late days.
WITH given AS (
    SELECT
        amount::DECIMAL(15, 0) AS f,
        days::DECIMAL(5, 0) AS d,
        days_late::DECIMAL(5, 0) AS l,
        monthly_rate::DECIMAL(7, 6) AS r,
        advance_rate::DECIMAL(7, 6) AS advance_share,
        commission_rate::DECIMAL(7, 6) AS commission_share,
        discount_on_face::BOOLEAN AS is_on_face,
        commission::DECIMAL(15, 0) AS fixed
),

-- A step at a time: in a lateral join DuckDB 1.5 knows no alias of the same SELECT.
advanced AS (
    SELECT
        *,
        round(f * advance_share, 0)::DECIMAL(15, 0) AS a,
        (fixed + round(f * commission_share, 0))::DECIMAL(15, 0) AS c
    FROM given
),

rounded AS (
    SELECT
        *,
        -- Millionths of a peso × 30, so that a half is a half: no DOUBLE. The widest decimal:
        -- a narrower one overflows at an invoice of two million pesos over 45 days.
        ((if(is_on_face, f, a)::DECIMAL(24, 0) * r * d * 1000000)::HUGEINT + 15000000)
        // 30000000 AS discount,
        ((a::DECIMAL(24, 0) * r * l * 1000000)::HUGEINT + 15000000) // 30000000 AS late_charge,
        round(c * 0.19, 0) AS commission_iva
    FROM advanced
),

summed AS (
    SELECT
        *,
        a - discount - c - commission_iva AS payout,
        f - a - late_charge AS returned,
        discount + c + commission_iva + late_charge AS cost
    FROM rounded
)

SELECT
    f::BIGINT AS face_clp,
    a::BIGINT AS advance_clp,
    discount::BIGINT AS discount_clp,
    c::BIGINT AS commission_clp,
    commission_iva::BIGINT AS commission_iva_clp,
    payout::BIGINT AS payout_clp,
    (f - a)::BIGINT AS holdback_clp,
    late_charge::BIGINT AS late_charge_clp,
    returned::BIGINT AS returned_clp,
    cost::BIGINT AS cost_clp,
    (payout + returned)::BIGINT AS net_clp,
    round(cost::BIGINT * 3000 / (nullif(a, 0) * nullif(d + l, 0)), 2)::DECIMAL(9, 2)
        AS monthly_cost_percent
FROM summed

-- The balance of every position through time: one row for each span of days over which it
-- did not change. The rows without an end are today's; any other day is a filter away.
-- Balance: total − retention or withheld IVA − credit + debit − paid − ceded, in the
-- document's currency. Never below zero: credit beyond the document is kept apart.
-- What has a date of its own (issue, notes, payment events, cessions) counts from it; a
-- payment mark without one counts from the sync that first saw it; amounts are today's.
-- A mark says that what was due on its day is paid (partly: that all but the rest is): notes
-- of a later day change what is due, not what was paid. A mark without a day pays what is due
-- after all notes. Cash and free documents are settled with their notes, but not with a debit
-- note on credit.
-- doc_key: Key of the document.
-- role: seller or buyer.
-- from_day: First day.
-- to_day: First day of the next span; NULL for the present one.
-- credit: Credit notes that end here.
-- debit: Debit notes that end here.
-- unapplied_credit: Credit that exceeds what it could be applied to.
-- due: What was to be paid after notes.
-- is_paid: Marked as paid.
-- is_partial: Marked as partially paid.
-- paid: Amount settled, by payment or at issue.
-- owed: What the buyer owes, to whomever holds the credit.
-- is_ceded: Ceded, registered by SII, and not ceded back to the seller.
-- assignee_rut: Who holds the credit, when ceded.
-- assignee_name: Its name.
-- ceded: Part of owed that belongs to the assignee.
-- open_balance: What this side still has to collect (seller) or to pay (buyer).
WITH days AS (
    SELECT
        doc_key,
        role,
        day,
        sum(credit) AS credit,
        sum(debit) AS debit,
        sum(direct) AS direct,
        sum(settled) AS settled,
        arg_max(mark, moment) FILTER (mark IS NOT NULL) AS mark,
        arg_max(cession, moment) FILTER (cession IS NOT NULL) AS cession
    FROM (
        SELECT * FROM staging.balance_changes
        UNION ALL
        -- The first day, for what changes later only.
        SELECT DISTINCT
            p.doc_key, p.role, p.start_day, NULL::TIMESTAMPTZ, 0, 0, 0, 0, NULL, NULL
        FROM staging.balance_changes AS c
        INNER JOIN staging.positions AS p ON c.doc_key = p.doc_key AND c.role = p.role
    )
    GROUP BY doc_key, role, day
),

running AS (
    SELECT
        doc_key,
        role,
        day AS from_day,
        lead(day) OVER through AS to_day,
        sum(credit) OVER through AS credit,
        sum(debit) OVER through AS debit,
        sum(direct) OVER through AS direct,
        sum(settled) OVER through AS settled,
        last_value(mark IGNORE NULLS) OVER through AS mark,
        -- The day from which the mark says what it says now.
        mark IS NOT NULL
        AND mark IS DISTINCT FROM lag(mark IGNORE NULLS) OVER through AS is_turn,
        last_value(cession IGNORE NULLS) OVER through AS cession
    FROM days
    WINDOW through AS (PARTITION BY doc_key, role ORDER BY day)
),

stated AS (
    SELECT
        p.doc_key,
        p.role,
        p.book_sign,
        p.is_closed_at_issue,
        coalesce(r.from_day, p.start_day) AS from_day,
        r.to_day,
        coalesce(r.credit, 0) AS credit,
        coalesce(r.debit, 0) AS debit,
        coalesce(r.settled, 0)::DECIMAL(18, 4) AS own_paid,
        greatest(coalesce(r.direct, 0) - own_paid, 0)::DECIMAL(18, 4) AS open_direct,
        -- Due after notes, without the debit notes that are paid by themselves.
        (p.base + coalesce(r.debit, 0) - coalesce(r.credit, 0) - own_paid)::DECIMAL(18, 4) AS net,
        if(r.mark IS NULL, p.is_paid, r.mark.is_paid) AS is_paid,
        if(r.mark IS NULL, p.is_partial, r.mark.is_partial) AS is_partial,
        if(r.mark IS NULL, p.pending, r.mark.pending) AS pending,
        r.mark IS NOT NULL AS is_dated,
        coalesce(r.is_turn, false) AS is_turn,
        coalesce(NOT r.cession.is_back, false) AS is_ceded,
        if(is_ceded, r.cession, NULL) AS cession
    FROM staging.positions AS p
    LEFT JOIN running AS r ON p.doc_key = r.doc_key AND p.role = r.role
),

-- What the mark said to be paid on its own day.
marked AS (
    SELECT
        *,
        CASE
            WHEN is_paid THEN greatest(net, 0)
            WHEN is_partial THEN greatest(net - pending, 0)
            ELSE 0
        END::DECIMAL(18, 4) AS said,
        last_value(if(is_turn, {'paid': said}, NULL) IGNORE NULLS) OVER (
            PARTITION BY doc_key, role ORDER BY from_day
        ) AS turn
    FROM stated
),

paying AS (
    SELECT
        *,
        CASE
            -- What has no amount is paid in full or not at all.
            WHEN net IS NULL THEN NULL
            WHEN is_closed_at_issue THEN greatest(greatest(net, 0) - open_direct, 0)
            WHEN (is_paid OR (is_partial AND pending IS NOT NULL)) AND is_dated
                THEN coalesce(turn.paid, said)
            ELSE coalesce(said, 0)
        END::DECIMAL(18, 4) AS payment
    FROM marked
),

owing AS (
    SELECT
        *,
        CASE
            WHEN book_sign = 0 THEN 0
            WHEN net IS NOT NULL THEN greatest(net - payment, 0)
            WHEN is_closed_at_issue OR is_paid THEN 0
            WHEN is_partial THEN pending
        END::DECIMAL(18, 4) AS owed,
        -- Ley 19.983 art. 7: from its registration on, the debtor owes the assignee.
        if(is_ceded, least(coalesce(cession.amount, owed), owed), 0)::DECIMAL(18, 4) AS ceded
    FROM paying
)

SELECT
    doc_key,
    role,
    from_day,
    to_day,
    credit::DECIMAL(18, 4) AS credit,
    debit::DECIMAL(18, 4) AS debit,
    if(book_sign = 0, 0, greatest(payment - net, 0))::DECIMAL(18, 4) AS unapplied_credit,
    greatest(net + own_paid, 0)::DECIMAL(18, 4) AS due,
    is_paid,
    is_partial,
    if(book_sign = 0, greatest(net, 0), payment + own_paid)::DECIMAL(18, 4) AS paid,
    owed,
    is_ceded,
    cession.rut AS assignee_rut,
    cession.name AS assignee_name,
    ceded,
    (owed - if(role = 'seller', ceded, 0))::DECIMAL(18, 4) AS open_balance
FROM owing

-- What moves a balance after the issue, dated: notes, payment marks, cessions. What is dated
-- before the issue counts from the issue, and what is dated after the day of the figures
-- as that day. A debit note on the document itself may be paid by a mark of its own; one that
-- takes back a credit note is no new debt.
-- doc_key: Key of the document.
-- role: seller or buyer.
-- day: From when it counts.
-- moment: Its time, which orders what falls on one day.
-- credit: Credit that a note brings here.
-- debit: Debit that a note brings here.
-- direct: Part of debit that is a new debt: its note references this document, not a note.
-- settled: Part of direct that its own mark pays from here on; negative takes it back.
-- mark: Payment mark, if it is one.
-- cession: Cession, if it is one.
WITH flows AS (
    SELECT
        r.doc_key,
        r.role,
        f.note_key,
        greatest(r.start_day, least(n.date_issued, c.as_of)) AS day,
        if(f.book_sign < 0, f.amount, 0) AS credit,
        if(f.book_sign > 0, f.amount, 0) AS debit,
        if(f.book_sign > 0 AND NOT coalesce(e.through_note, false), f.amount, 0) AS direct
    FROM staging.note_flows AS f
    INNER JOIN staging.both_sides AS n ON f.note_key = n.doc_key
    INNER JOIN staging.positions AS r ON f.root_key = r.doc_key
    CROSS JOIN staging.calendar AS c
    LEFT JOIN (
        SELECT note_key, bool_or(is_target_note) AS through_note
        FROM staging.note_edges GROUP BY note_key
    ) AS e ON f.note_key = e.note_key
),

-- A debit note that stands alone settles itself as any document does.
own_marks AS (
    SELECT f.doc_key, f.role, f.day, f.direct, f.note_key, p.is_closed_at_issue, p.is_paid
    FROM flows AS f
    INNER JOIN staging.positions AS p ON f.note_key = p.doc_key AND f.role = p.role
    WHERE f.direct > 0 AND f.note_key <> f.doc_key
),

marked AS (
    SELECT
        o.*,
        m.day AS mark_day,
        m.moment AS mark_moment,
        m.is_paid::INTEGER
        - lag(m.is_paid::INTEGER, 1, 0) OVER (
            PARTITION BY o.note_key, o.doc_key, o.role ORDER BY m.moment
        ) AS turn
    FROM own_marks AS o
    INNER JOIN staging.payment_marks AS m ON o.note_key = m.doc_key AND o.role = m.role
    WHERE NOT o.is_closed_at_issue
)

SELECT
    doc_key,
    role,
    day,
    NULL::TIMESTAMPTZ AS moment,
    credit,
    debit,
    direct,
    0::DECIMAL(18, 4) AS settled,
    NULL::STRUCT(is_paid BOOLEAN, is_partial BOOLEAN, pending DECIMAL(18, 4)) AS mark,
    NULL::STRUCT(rut VARCHAR, "name" VARCHAR, amount DECIMAL(18, 4), is_back BOOLEAN)
        AS cession
FROM flows
UNION ALL
-- Cash, or paid before anybody looked: from the note on.
SELECT o.doc_key, o.role, o.day, NULL, 0, 0, 0, o.direct, NULL, NULL
FROM own_marks AS o
ANTI JOIN marked AS m ON o.note_key = m.note_key AND o.doc_key = m.doc_key AND o.role = m.role
WHERE o.is_closed_at_issue OR o.is_paid
UNION ALL
SELECT doc_key, role, greatest(day, mark_day), mark_moment, 0, 0, 0, turn * direct, NULL, NULL
FROM marked WHERE turn <> 0
UNION ALL
SELECT
    p.doc_key, p.role, greatest(p.start_day, m.day), m.moment, 0, 0, 0, 0,
    {'is_paid': m.is_paid, 'is_partial': m.is_partial, 'pending': m.pending}, NULL
FROM staging.payment_marks AS m
INNER JOIN staging.positions AS p ON m.doc_key = p.doc_key AND m.role = p.role
UNION ALL
SELECT
    p.doc_key,
    p.role,
    -- A registered cession that nobody dates is taken as there from the issue.
    greatest(p.start_day, least(timezone('America/Santiago', s.moment)::DATE, c.as_of)),
    coalesce(s.moment, TIMESTAMPTZ '1900-01-01 00:00:00+00'),
    0,
    0,
    0,
    0,
    NULL,
    {
        'rut': s.assignee_rut, 'name': s.assignee_name, 'amount': s.amount,
        -- Ceded back to the seller: the credit is the seller's again. Some answers carry
        -- the assignee's RUT without its check digit.
        'is_back': coalesce(
            replace(s.assignee_rut, '-', '')
            IN (replace(q.seller_rut, '-', ''), split_part(q.seller_rut, '-', 1)), false
        )
    }
FROM staging.cession_steps AS s
CROSS JOIN staging.calendar AS c
INNER JOIN staging.positions AS p ON s.doc_key = p.doc_key
INNER JOIN staging.parties AS q ON s.doc_key = q.doc_key
WHERE s.is_success

-- What moves a balance after the issue, dated: notes, payment marks, cessions. What is dated
-- before the issue counts from the issue, and what is dated after the day of the figures
-- as that day.
-- doc_key: Key of the document.
-- role: seller or buyer.
-- day: From when it counts.
-- moment: Its time, which orders what falls on one day.
-- credit: Credit that a note brings here.
-- debit: Debit that a note brings here.
-- mark: Payment mark, if it is one.
-- cession: Cession, if it is one.
SELECT
    r.doc_key,
    r.role,
    greatest(r.start_day, least(n.date_issued, r.limit_day)) AS day,
    NULL::TIMESTAMPTZ AS moment,
    if(f.book_sign < 0, f.amount, 0) AS credit,
    if(f.book_sign > 0, f.amount, 0) AS debit,
    NULL::STRUCT(is_paid BOOLEAN, is_partial BOOLEAN, pending DECIMAL(18, 4)) AS mark,
    NULL::STRUCT(rut VARCHAR, "name" VARCHAR, amount DECIMAL(18, 4), is_back BOOLEAN)
        AS cession
FROM staging.note_flows AS f
INNER JOIN staging.both_sides AS n ON f.note_key = n.doc_key
INNER JOIN (SELECT p.*, c.as_of AS limit_day FROM staging.positions AS p, staging.calendar AS c)
    AS r ON f.root_key = r.doc_key
UNION ALL
SELECT
    p.doc_key, p.role, greatest(p.start_day, m.day), m.moment, 0, 0,
    {'is_paid': m.is_paid, 'is_partial': m.is_partial, 'pending': m.pending}, NULL
FROM staging.payment_marks AS m
INNER JOIN staging.positions AS p ON m.doc_key = p.doc_key AND m.role = p.role
UNION ALL
SELECT
    p.doc_key,
    p.role,
    greatest(p.start_day, least(timezone('America/Santiago', s.moment)::DATE, c.as_of)),
    s.moment,
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
WHERE s.is_success AND s.moment IS NOT NULL

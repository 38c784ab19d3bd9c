-- Terms of each document: until when it may be claimed, whether it was accepted, when it is
-- due, and which side speaks for it.
-- doc_key: Key of the document.
-- issuer_first: Our side is the issuer's, or only the issuer's side is in the data.
-- accept_deadline: End of the 8 days to claim; NULL outside 33, 34, 43.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- claimed_at: When it was claimed; NULL when not, or when nothing says when.
-- accepted_at: When it was accepted or received; NULL likewise.
-- due_date_source: document, reception+30 or issue+30; NULL without a term.
-- due_date: When it is to be paid.
SELECT
    b.doc_key,
    if(
        p.seller_is_issuer = (p.our_role = 'seller'),
        b.issued_id IS NOT NULL, b.received_id IS NULL
    ) AS issuer_first,
    -- Ley 19.983 art. 3: eight calendar days from SII's reception, on Santiago's clock
    -- (a day may have 23 or 25 hours). Nothing is recorded when they pass.
    CASE WHEN t.claimable THEN (
        timezone('America/Santiago', b.date_reception) + INTERVAL 8 DAY
    ) AT TIME ZONE 'America/Santiago' END AS accept_deadline,
    CASE
        WHEN NOT coalesce(t.claimable, false) THEN NULL
        WHEN b.has_claims OR coalesce(v.has_claim, false) THEN 'claimed'
        WHEN b.has_acknowledgments OR coalesce(v.has_receipt, false) THEN 'accepted_express'
        WHEN getvariable('as_of_time') >= accept_deadline THEN 'accepted_tacit'
        -- Also while SII's reception is not known: silence is counted from it.
        ELSE 'pending'
    END AS acceptance,
    v.claimed_at,
    v.accepted_at,
    -- Ley 19.983 art. 2, Ley 21.131: the term agreed on the invoice, else 30 days from its
    -- reception. What reduces a debt or is none has no term.
    CASE
        WHEN b.due_date IS NOT NULL THEN 'document'
        WHEN p.book_sign <= 0 THEN NULL
        WHEN b.date_reception IS NOT NULL THEN 'reception+30'
        WHEN b.date_issued IS NOT NULL THEN 'issue+30'
    END AS due_date_source,
    CASE due_date_source
        WHEN 'document' THEN b.due_date
        WHEN 'reception+30'
            THEN timezone('America/Santiago', b.date_reception)::DATE + 30
        WHEN 'issue+30' THEN b.date_issued + 30
    END AS due_date
FROM staging.both_sides AS b
INNER JOIN staging.parties AS p ON b.doc_key = p.doc_key
LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code
LEFT JOIN staging.events AS v ON b.doc_key = v.doc_key

-- Who sells and who buys in each document, on which side the user's company stands, and
-- the root of the reference chain that decides it for notes.
-- doc_key: Key of the document.
-- root_key: Document at the end of the reference chain; the document itself if it is no note.
-- has_target: The note reaches a document in the data; NULL when it is no note.
-- is_estimated: The note's amount is split by estimate over several documents.
-- is_cycle: The note's references go round in a ring.
-- seller_rut: RUT of the seller: who is owed the money.
-- seller_name: Name of the seller.
-- buyer_rut: RUT of the buyer: who owes it.
-- buyer_name: Name of the buyer.
-- seller_is_issuer: The seller is the issuer: false for 46, 90 and the notes of a 46.
-- seller_is_own: The seller is a company of the user.
-- buyer_is_own: The buyer is a company of the user.
-- our_role: seller or buyer; seller when both are the user's companies.
-- book_sign: +1 adds to the books, −1 takes from them, 0 is no debt.
-- ar_ap: AR or AP; NULL for a document that is no debt.
WITH roots AS (
    SELECT
        note_key,
        any_value(root_key) FILTER (root_order = 1) AS root_key,
        bool_or(root_key <> note_key) AS has_target,
        bool_or(is_estimated) AS is_estimated,
        bool_or(is_cycle) AS is_cycle
    FROM staging.note_flows
    GROUP BY note_key
),

own AS (SELECT DISTINCT rut FROM staging.companies),

sided AS (
    SELECT
        b.*,
        coalesce(r.root_key, b.doc_key) AS root_key,
        r.has_target,
        coalesce(r.is_estimated, false) AS is_estimated,
        coalesce(r.is_cycle, false) AS is_cycle,
        coalesce(t.book_sign, 0) AS book_sign,
        -- 46 and 90 are issued by the buyer; a note has the sides of its root (DL 825 art. 3,
        -- RCV "NC o ND sobre factura de compra").
        coalesce(rt.issuer_is_seller, t.issuer_is_seller, true) AS seller_is_issuer
    FROM staging.both_sides AS b
    LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code
    LEFT JOIN roots AS r ON b.doc_key = r.note_key
    LEFT JOIN staging.both_sides AS rb ON r.root_key = rb.doc_key
    LEFT JOIN ref.dte_types AS rt ON rb.dte_type_code = rt.code
),

named AS (
    SELECT
        *,
        if(seller_is_issuer, issuer_rut, receiver_rut) AS seller_rut,
        if(seller_is_issuer, issuer_name, receiver_name) AS seller_name,
        if(seller_is_issuer, receiver_rut, issuer_rut) AS buyer_rut,
        if(seller_is_issuer, receiver_name, issuer_name) AS buyer_name,
        -- The row stands on this side: ours even if no company goes by this RUT.
        if(seller_is_issuer, issued_id, received_id) IS NOT NULL AS seller_row,
        if(seller_is_issuer, received_id, issued_id) IS NOT NULL AS buyer_row
    FROM sided
)

SELECT
    n.doc_key,
    n.root_key,
    n.has_target,
    n.is_estimated,
    n.is_cycle,
    n.seller_rut,
    n.seller_name,
    n.buyer_rut,
    n.buyer_name,
    n.seller_is_issuer,
    n.seller_row OR s.rut IS NOT NULL AS seller_is_own,
    n.buyer_row OR b.rut IS NOT NULL AS buyer_is_own,
    if(n.seller_row OR s.rut IS NOT NULL, 'seller', 'buyer') AS our_role,
    n.book_sign,
    CASE
        WHEN n.book_sign = 0 THEN NULL
        WHEN n.seller_row OR s.rut IS NOT NULL THEN 'AR'
        ELSE 'AP'
    END AS ar_ap
FROM named AS n
LEFT JOIN own AS s ON n.seller_rut = s.rut
LEFT JOIN own AS b ON n.buyer_rut = b.rut

-- Every cession that the user's companies are party to, as seller or as debtor, in the order
-- in which SII registered them. The API gives no SeqCesion: it is derived from that order.
-- cession_id: Tu Pana's id of the cession.
-- company_rut: The user's company: the seller, or the debtor when only the debtor is ours.
-- role: seller or debtor; NULL when the document is not in the data and neither is ours.
-- issuer_rut: RUT of the invoice's issuer.
-- dte_type_code: SII document type; NULL when the document is not in the data.
-- folio: Folio of the ceded document.
-- doc_key: issuer|type|folio, as in marts.documents; NULL when it is not in the data.
-- seller_rut: RUT of the first cedente: the seller.
-- debtor_rut: RUT of the debtor.
-- cedente_rut: Who ceded it: the seller, then each assignee in turn; NULL unless registered.
-- assignee_rut: RUT of the cesionario.
-- assignee_name: Its name.
-- status: processing, rejected or success.
-- status_message: What SII said.
-- source: internal (by Tu Pana) or external (seen at SII).
-- ceded_at: When the AEC went to SII, else when Tu Pana stored it.
-- sequence: Place among the registered cessions of the document, from 1; NULL for others.
-- sequence_is_derived: The sequence is from the order in time, not from SII.
-- is_current: The last registered one, and not back at the seller: its assignee is to be paid.
-- is_back: Ceded back to the seller.
-- amount_clp: Amount ceded (MontoCesion), whole pesos; NULL when not said.
-- document_total_clp: Total of the document, whole pesos; NULL when it is not in the data.
-- date_issued: Issue date of the document.
-- due_date: When it is to be paid.
-- as_of: The day these figures are of, in Santiago.
WITH own AS (SELECT DISTINCT rut FROM staging.companies),

ordered AS (
    SELECT
        s.*,
        d.issuer_rut,
        d.dte_type_code,
        d.folio AS document_folio,
        d.company_rut,
        d.our_role,
        d.date_issued,
        d.due_date,
        d.total_clp,
        coalesce(d.seller_rut, s.supplier_rut) AS seller_rut,
        coalesce(d.buyer_rut, s.debtor_rut) AS buyer_rut,
        coalesce(
            replace(s.assignee_rut, '-', '')
            IN (replace(seller_rut, '-', ''), split_part(seller_rut, '-', 1)), false
        ) AS is_back,
        lag(s.assignee_rut) OVER (
            PARTITION BY s.doc_key, s.is_success ORDER BY s.sequence, s.cession_id
        ) AS previous_rut
    FROM staging.cession_steps AS s
    LEFT JOIN marts.documents AS d ON s.doc_key = d.doc_key
)

SELECT
    o.cession_id,
    CASE
        WHEN o.doc_key IS NOT NULL THEN o.company_rut
        WHEN s.rut IS NOT NULL THEN o.seller_rut
        WHEN b.rut IS NOT NULL THEN o.buyer_rut
    END AS company_rut,
    CASE
        WHEN o.our_role = 'buyer' THEN 'debtor'
        WHEN o.our_role IS NOT NULL OR s.rut IS NOT NULL THEN 'seller'
        WHEN b.rut IS NOT NULL THEN 'debtor'
    END AS role,
    coalesce(o.issuer_rut, o.supplier_rut) AS issuer_rut,
    o.dte_type_code,
    coalesce(o.document_folio, o.folio) AS folio,
    o.doc_key,
    o.seller_rut,
    o.buyer_rut AS debtor_rut,
    -- SII, Instructivo RPETC: the cedente is the issuer or the last holder.
    CASE
        WHEN NOT o.is_success THEN NULL
        WHEN o.doc_key IS NULL OR o.sequence = 1 THEN o.seller_rut
        ELSE o.previous_rut
    END AS cedente_rut,
    o.assignee_rut,
    o.assignee_name,
    o.status,
    o.status_message,
    o.source,
    o.moment AS ceded_at,
    o.sequence,
    o.sequence IS NOT NULL AS sequence_is_derived,
    o.is_last AND NOT o.is_back AS is_current,
    o.is_back,
    round(o.amount, 0)::BIGINT AS amount_clp,
    o.total_clp AS document_total_clp,
    coalesce(o.date_issued, o.document_date) AS date_issued,
    o.due_date,
    k.as_of
FROM ordered AS o
CROSS JOIN staging.calendar AS k
LEFT JOIN own AS s ON o.seller_rut = s.rut
LEFT JOIN own AS b ON o.buyer_rut = b.rut

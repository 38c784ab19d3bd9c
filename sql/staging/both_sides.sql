-- One row per document: what its two sides say, put together. A document between two of
-- the user's companies is in raw twice; facts of SII are taken from whichever side has
-- them, the payment mark is kept per side because each company keeps its own.
-- doc_key: Key of the document.
-- issued_entity_id: Company that issued it, if it is ours and the row is here.
-- issued_id: Document id on the issuer's side.
-- received_entity_id: Company that received it, if it is ours and the row is here.
-- received_id: Document id on the receiver's side.
-- issuer_rut: RUT of the issuer.
-- issuer_name: Name of the issuer.
-- receiver_rut: RUT of the receiver.
-- receiver_name: Name of the receiver.
-- dte_type_code: SII document type.
-- folio: Folio.
-- date_issued: Issue date.
-- due_date: Due date printed on the document.
-- amount_with_iva: Total as it came.
-- net: Net amount as it came.
-- exempt: Exempt amount as it came.
-- iva: IVA as it came.
-- currency: Currency as it came, upper case.
-- exchange_rate: Pesos per unit of the currency; NULL unless positive.
-- original_amount: Amount in the foreign currency, if the document says one.
-- vat_withheld: IVA withheld by the buyer (46 and its notes).
-- retention_type: Who withholds on honorarios.
-- payment_method: 1 cash, 2 credit, 3 free; NULL when nothing is said.
-- is_paid_cash: SII or Tu Pana's trace says paid in cash.
-- date_reception: When SII received it.
-- has_claims: Claimed by the receiver, by flag.
-- has_acknowledgments: Accepted by the receiver, by flag.
-- has_credit_note: Tu Pana knows a credit note on it.
-- state: Life-cycle state as it came.
-- is_voided: The state says annulled; all that tells it of a fee receipt, which has no notes.
-- issued_is_paid: The issuer's payment mark.
-- issued_pending: What is left to pay according to the issuer; NULL unless partially paid.
-- issued_is_partial: The issuer says partially paid.
-- received_is_paid: The receiver's payment mark.
-- received_pending: What is left to pay according to the receiver; NULL unless partially paid.
-- received_is_partial: The receiver says partially paid.
-- synced_at: Newest version of either side.
WITH speaking AS (
    SELECT
        s.doc_key,
        s.issuer_rut,
        s.receiver_rut,
        d.master_entity_id,
        d.document_type,
        d.id,
        d.sender_name,
        d.receiver_name,
        d.dte_type_code,
        d.folio,
        d.date_issued,
        d.due_date,
        d.amount_with_iva,
        d.amount_without_iva,
        d.amount_exempt,
        d.amount_iva,
        d.currency,
        d.exchange_rate,
        d.original_amount,
        d.vat_withheld,
        d.retention_type,
        d.payment_method,
        d.is_paid_cash,
        d.date_reception,
        d.has_claims,
        d.has_acknowledgments,
        d.is_rejected,
        d.has_credit_note,
        d.state,
        d.pending_amount,
        d._synced_at,
        coalesce(d.is_paid, false) OR coalesce(lower(d.payment_status) = 'paid', false) AS paid,
        coalesce(lower(d.payment_status) = 'partially_paid', d.pending_amount > 0, false)
            AS is_partial
    FROM staging.sides AS s
    INNER JOIN raw.documents AS d
        ON
            s.master_entity_id = d.master_entity_id
            AND s.document_type = d.document_type
            AND s.document_id = d.id
    WHERE s.exclusion IS NULL AND s.newest = 1
),

i AS (SELECT * FROM speaking WHERE document_type = 'issued'),

r AS (SELECT * FROM speaking WHERE document_type = 'received')

SELECT
    coalesce(i.doc_key, r.doc_key) AS doc_key,
    i.master_entity_id AS issued_entity_id,
    i.id AS issued_id,
    r.master_entity_id AS received_entity_id,
    r.id AS received_id,
    coalesce(i.issuer_rut, r.issuer_rut) AS issuer_rut,
    coalesce(i.sender_name, r.sender_name) AS issuer_name,
    coalesce(i.receiver_rut, r.receiver_rut) AS receiver_rut,
    coalesce(i.receiver_name, r.receiver_name) AS receiver_name,
    coalesce(i.dte_type_code, r.dte_type_code) AS dte_type_code,
    coalesce(i.folio, r.folio) AS folio,
    coalesce(i.date_issued, r.date_issued) AS date_issued,
    coalesce(i.due_date, r.due_date) AS due_date,
    coalesce(i.amount_with_iva, r.amount_with_iva) AS amount_with_iva,
    coalesce(i.amount_without_iva, r.amount_without_iva) AS net,
    coalesce(i.amount_exempt, r.amount_exempt) AS exempt,
    coalesce(i.amount_iva, r.amount_iva) AS iva,
    upper(trim(coalesce(i.currency, r.currency))) AS currency,
    CASE WHEN coalesce(i.exchange_rate, r.exchange_rate) > 0
        THEN coalesce(i.exchange_rate, r.exchange_rate) END AS exchange_rate,
    coalesce(i.original_amount, r.original_amount) AS original_amount,
    coalesce(i.vat_withheld, r.vat_withheld) AS vat_withheld,
    upper(trim(coalesce(i.retention_type, r.retention_type))) AS retention_type,
    -- SII Formato DTE 2.2, FmaPago; one published webhook example spells the code out.
    CASE lower(trim(coalesce(i.payment_method, r.payment_method)))
        WHEN 'contado' THEN '1' WHEN 'credito' THEN '2' WHEN 'crédito' THEN '2'
        WHEN 'sin costo' THEN '3'
        ELSE trim(coalesce(i.payment_method, r.payment_method)) END AS payment_method,
    coalesce(i.is_paid_cash, false) OR coalesce(r.is_paid_cash, false) AS is_paid_cash,
    least(i.date_reception, r.date_reception) AS date_reception,
    -- One side may have been asked before the other: a claim seen by either is a claim.
    coalesce(i.has_claims, false) OR coalesce(i.is_rejected, false)
    OR coalesce(r.has_claims, false) OR coalesce(r.is_rejected, false) AS has_claims,
    coalesce(i.has_acknowledgments, false) OR coalesce(r.has_acknowledgments, false)
        AS has_acknowledgments,
    coalesce(i.has_credit_note, false) OR coalesce(r.has_credit_note, false) AS has_credit_note,
    lower(trim(coalesce(i.state, r.state))) AS state,
    coalesce(
        lower(trim(coalesce(i.state, r.state)))
        IN ('cancelled', 'annulled', 'voided', 'anulada'), false
    ) AS is_voided,
    i.paid AS issued_is_paid,
    CASE WHEN i.is_partial THEN i.pending_amount END AS issued_pending,
    i.is_partial AS issued_is_partial,
    r.paid AS received_is_paid,
    CASE WHEN r.is_partial THEN r.pending_amount END AS received_pending,
    r.is_partial AS received_is_partial,
    greatest(i._synced_at, r._synced_at) AS synced_at
FROM i
FULL JOIN r ON i.doc_key = r.doc_key

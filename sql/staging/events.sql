-- What the events of SII's claim register and of payment say of each document.
-- doc_key: Key of the document.
-- has_claim: The receiver claimed (RCD, RFP or RFT).
-- has_receipt: The receiver accepted or acknowledged (ACD or ERM).
-- is_cash: SII says paid in cash (PAG).
-- claimed_at: Time of the first claim.
-- accepted_at: Time of the first acceptance or receipt.
-- receipt_at: Time of the first receipt of the goods (ERM): what opens the credit of IVA.
-- is_annulled: SII received a credit note that annuls it (NCA).
-- has_credit_note: SII received a credit note on it (NCA or ENC).
-- ceded_at: Time of the last cession that SII registered (CED).
-- issued_paid_at: Time of the issuer's payment event, when it is the last word.
-- received_paid_at: Time of the receiver's payment event, when it is the last word.
WITH told AS (
    SELECT s.doc_key, e.document_type, e.event_code, e.event_date
    FROM raw.document_states AS e
    INNER JOIN staging.sides AS s
        ON
            e.master_entity_id = s.master_entity_id
            AND e.document_type = s.document_type
            AND e.document_id = s.document_id
    WHERE s.exclusion IS NULL AND e._deleted_at IS NULL
),

grouped AS (
    SELECT
        doc_key,
        -- Ley 19.983 art. 3, SII's claim register: these three claim, these two accept.
        bool_or(event_code IN ('RCD', 'RFP', 'RFT')) AS has_claim,
        bool_or(event_code IN ('ACD', 'ERM')) AS has_receipt,
        bool_or(event_code = 'PAG') AS is_cash,
        min(event_date) FILTER (event_code IN ('RCD', 'RFP', 'RFT')) AS claimed_at,
        min(event_date) FILTER (event_code IN ('ACD', 'ERM')) AS accepted_at,
        min(event_date) FILTER (event_code = 'ERM') AS receipt_at,
        bool_or(event_code = 'NCA') AS is_annulled,
        bool_or(event_code IN ('NCA', 'ENC')) AS has_credit_note,
        max(event_date) FILTER (event_code = 'CED') AS ceded_at,
        max(event_date) FILTER (event_code = 'PAID' AND document_type = 'issued') AS issued_paid,
        max(event_date) FILTER (event_code = 'UNPAID' AND document_type = 'issued')
            AS issued_unpaid,
        max(event_date) FILTER (event_code = 'PAID' AND document_type = 'received')
            AS received_paid,
        max(event_date) FILTER (event_code = 'UNPAID' AND document_type = 'received')
            AS received_unpaid
    FROM told
    GROUP BY doc_key
)

SELECT
    doc_key,
    coalesce(has_claim, false) AS has_claim,
    coalesce(has_receipt, false) AS has_receipt,
    coalesce(is_cash, false) AS is_cash,
    claimed_at,
    accepted_at,
    receipt_at,
    coalesce(is_annulled, false) AS is_annulled,
    coalesce(has_credit_note, false) AS has_credit_note,
    ceded_at,
    -- PAID may be taken back by UNPAID: only the last one speaks.
    CASE WHEN issued_unpaid >= issued_paid THEN NULL ELSE issued_paid END AS issued_paid_at,
    CASE WHEN received_unpaid >= received_paid THEN NULL ELSE received_paid END AS received_paid_at
FROM grouped

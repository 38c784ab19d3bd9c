-- Every row of raw.documents (one per company and side) with the key of the document it
-- shows and the reason, if any, why it stays out of the marts.
-- master_entity_id: Company the row was read for.
-- document_type: issued or received.
-- document_id: Tu Pana's id of the document on this side.
-- doc_key: issuer|type|folio, equal on both sides; side and id where one of the three is missing.
-- company_rut: RUT of the company on this side.
-- issuer_rut: RUT of the issuer.
-- receiver_rut: RUT of the receiver.
-- dte_type_code: SII document type.
-- folio: Folio as it came.
-- exclusion: deleted, sandbox, draft, failed, sii_rejected or no_folio; NULL when the row counts.
-- newest: 1 for the row that speaks for this document on this side, 2… for other ids of it.
-- amount: Total as it came.
WITH named AS (
    SELECT
        d.master_entity_id,
        d.document_type,
        d.id AS document_id,
        -- A lean list row does not name the company's own side: it is the company itself.
        CASE WHEN d.document_type = 'issued' THEN coalesce(d.sender_tax_id, c.rut)
            ELSE d.sender_tax_id END AS issuer_rut,
        CASE WHEN d.document_type = 'received' THEN coalesce(d.receiver_tax_id, c.rut)
            ELSE d.receiver_tax_id END AS receiver_rut,
        d.dte_type_code,
        d.folio,
        d.amount_with_iva AS amount,
        lower(trim(d.state)) AS state,
        d._deleted_at IS NOT NULL AS is_deleted,
        coalesce(d.is_sandbox, false) OR coalesce(starts_with(upper(d.folio), 'SANDBOX-'), false)
            AS is_sandbox,
        d.updated_at,
        d.created_at
    FROM raw.documents AS d
    LEFT JOIN staging.companies AS c ON d.master_entity_id = c.master_entity_id
),

judged AS (
    SELECT
        *,
        CASE WHEN document_type = 'issued' THEN issuer_rut ELSE receiver_rut END AS company_rut,
        -- SII: a DTE is known by issuer, type and folio; folios carry no leading zeros.
        coalesce(
            issuer_rut || '|' || dte_type_code || '|' || ltrim(nullif(trim(folio), ''), '0'),
            '#' || master_entity_id || '|' || document_type || '|' || document_id
        ) AS doc_key,
        -- Only issued legal documents are facts; RCH, RFR and RCT are SII's refusals.
        CASE
            WHEN is_deleted THEN 'deleted'
            WHEN is_sandbox AND NOT coalesce(getvariable('home_is_sandbox'), false) THEN 'sandbox'
            WHEN state IN ('draft', 'borrador') THEN 'draft'
            WHEN state IN (
                'failed', 'issue_failed', 'error', 'invalid', 'incomplete', 'permanent_error',
                'temporary_error'
            ) THEN 'failed'
            WHEN state IN (
                'rejected', 'sii_rejected', 'rejected_by_sii', 'rejected_sii', 'rechazado', 'rch',
                'rfr', 'rct'
            ) THEN 'sii_rejected'
            WHEN folio IS NULL OR trim(folio) = '' THEN 'no_folio'
        END AS exclusion
    FROM named
)

SELECT
    master_entity_id,
    document_type,
    document_id,
    doc_key,
    company_rut,
    issuer_rut,
    receiver_rut,
    dte_type_code,
    folio,
    exclusion,
    row_number() OVER (
        PARTITION BY doc_key, document_type, exclusion IS NULL
        ORDER BY
            updated_at DESC NULLS LAST, created_at DESC NULLS LAST,
            length(document_id) DESC, document_id DESC, master_entity_id
    ) AS newest,
    amount
FROM judged

-- Cessions of the invoices in ref.approved_cessions: those you agreed to sell, each for its
-- whole total. `tupana outbox plan cessions` compares them with marts.factoring_candidates and
-- says of every one that may not be ceded why.
-- row_key: cession:OPERATION:ISSUER:TYPE:FOLIO.
-- issuer_rut: The company that cedes.
-- dte_type: SII document type.
-- folio: Folio of the invoice.
-- amount: What you agreed to, pesos: the invoice's total, or the row is blocked.
-- assignee_rut: Who buys the credit.
-- assignee_name: Its name.
-- assignee_address: Its address.
-- assignee_email: Its e-mail address.
SELECT
    concat_ws(':', 'cession', a.operation_id, a.issuer_rut, a.dte_type_code, a.folio) AS row_key,
    a.issuer_rut,
    a.dte_type_code AS dte_type,
    a.folio,
    a.amount,
    a.assignee_rut,
    a.assignee_name,
    a.assignee_address,
    a.assignee_email
FROM ref.approved_cessions AS a
ORDER BY a.operation_id, a.issuer_rut, a.dte_type_code, a.folio

-- Every issued tax document once, known by issuer, type and folio: who sells and who buys,
-- what it is worth, when it is due, whether it was accepted and what is still open.
-- A document between two of the user's companies appears once, on the seller's side
-- (company_rut = seller_rut), with both sides' ids; the buyer's debt is the same row seen
-- with counterparty_is_own. Rows that are not issued documents are in marts.data_quality.
-- What amount means: 33, 39, 56, 61: net + exempt + IVA. 34, 41: exempt. 46: what the seller
-- receives, net + exempt when the buyer withholds the IVA. 80, 90: the gross fee before
-- retention. 110, 111, 112: the total in the currency of the transaction.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type; 80 and 90 are honorarios.
-- dte_type_name: Name of the type.
-- folio: Folio, as text.
-- company_rut: The user's company; the seller when both are.
-- seller_rut: RUT of the seller: who is owed the money.
-- seller_name: Name of the seller.
-- buyer_rut: RUT of the buyer: who owes it.
-- buyer_name: Name of the buyer.
-- counterparty_rut: RUT of the other party; 55555555-5 and 66666666-6 are many customers.
-- counterparty_name: Name of the other party.
-- counterparty_is_own: Both parties are the user's companies.
-- our_role: seller or buyer.
-- ar_ap: AR (owed to us) or AP (we owe); NULL for a document that is no debt (52).
-- book_sign: +1 adds to the books, -1 takes from them, 0 is no debt; amounts are positive.
-- date_issued: Issue date on the document.
-- date_reception: When SII received it.
-- due_date: When it is to be paid; NULL for credit notes and dispatch notes without one.
-- due_date_source: document, reception+30 (Ley 21.131) or issue+30.
-- amount: Total in the currency of the document.
-- currency: Currency of amount; NULL when an export document does not say it.
-- exchange_rate: Pesos per unit of currency, from the document; 1 for pesos.
-- net_amount: Net amount, in currency.
-- exempt_amount: Exempt amount, in currency.
-- iva_amount: IVA, in currency.
-- retention_rate: Share of the fee the payer withholds (Ley 21.133); NULL when none, 0 of an annulled fee.
-- retention_amount: Fee withheld by the payer, pesos.
-- withheld_iva_amount: IVA inside amount that the buyer withholds (46).
-- collectible_amount: amount - retention - withheld IVA, in currency.
-- total_clp: amount in whole pesos; NULL for foreign currency without a rate.
-- open_balance: Still to collect (AR) or to pay (AP), in currency.
-- open_balance_clp: The same in whole pesos; NULL for an open foreign balance without a rate.
-- unapplied_credit: Credit beyond what it could be applied to, in currency.
-- credit_amount: Credit notes whose chain ends here, in currency.
-- debit_amount: Debit notes whose chain ends here, in currency.
-- paid_amount: Settled, by payment or at issue, in currency.
-- ceded_amount: Part still owed that belongs to the assignee.
-- acceptance: claimed, accepted_express, accepted_tacit or pending; NULL outside 33, 34, 43.
-- accept_deadline: End of the 8 days to claim (Ley 19.983 art. 3); NULL outside 33, 34, 43.
-- payment_method: 1 cash, 2 credit, 3 free; NULL when nothing is said (the law reads credit).
-- is_closed_at_issue: Cash, free or receipt: no debt remains.
-- is_paid: Marked as paid by company_rut (by the other side where ours is not in the data).
-- is_partially_paid: Marked as partially paid.
-- paid_at: When it was paid; NULL when nobody knows.
-- paid_at_source: Who says when, the first of these that does: event (of the API), outbox (a
-- payment booked from here, the day in its row), webhook (that announced it), observed (between
-- two syncs) or unknown; NULL when not paid.
-- is_ceded: Ceded, registered by SII, and not ceded back.
-- is_cession_processing: A cession is on its way.
-- assignee_rut: Who holds the credit.
-- assignee_name: Its name.
-- root_dte_type_code: For a note: type of the document at the end of its reference chain.
-- root_folio: For a note: folio of that document (same issuer).
-- has_target: For a note: that document is in the data.
-- is_estimated: Notes over several documents touch it: the split is an estimate.
-- retention_type: Who withholds on honorarios.
-- vat_withheld: The buyer withholds the IVA (46).
-- state: Life-cycle state at Tu Pana.
-- master_entity_id: Company of document_id.
-- document_type: issued or received: the side of document_id.
-- document_id: Tu Pana's id on our side; on the other side if ours is not in the data.
-- issued_document_id: Id on the issuer's side, if it is in raw.
-- received_document_id: Id on the receiver's side, if it is in raw.
-- doc_key: issuer|type|folio in one text, for joins.
-- synced_at: When the newest version of its raw rows was first seen.
-- as_of: The day these figures are of, in Santiago.
SELECT
    b.issuer_rut,
    b.dte_type_code,
    t.name AS dte_type_name,
    b.folio,
    if(p.our_role = 'seller', p.seller_rut, p.buyer_rut) AS company_rut,
    p.seller_rut,
    p.seller_name,
    p.buyer_rut,
    p.buyer_name,
    if(p.our_role = 'seller', p.buyer_rut, p.seller_rut) AS counterparty_rut,
    if(p.our_role = 'seller', p.buyer_name, p.seller_name) AS counterparty_name,
    p.seller_is_own AND p.buyer_is_own AS counterparty_is_own,
    p.our_role,
    p.ar_ap,
    p.book_sign,
    b.date_issued,
    b.date_reception,
    d.due_date,
    d.due_date_source,
    a.amount,
    a.amount_currency AS currency,
    a.exchange_rate,
    b.net AS net_amount,
    b.exempt AS exempt_amount,
    b.iva AS iva_amount,
    a.retention_rate,
    a.retention AS retention_amount,
    a.withheld_iva AS withheld_iva_amount,
    a.collectible AS collectible_amount,
    a.amount_clp AS total_clp,
    w.open_balance,
    if(w.open_balance = 0, 0, round(w.open_balance::DECIMAL(28, 4) * a.exchange_rate, 0))::BIGINT AS open_balance_clp,
    w.unapplied_credit,
    w.credit AS credit_amount,
    w.debit AS debit_amount,
    w.paid AS paid_amount,
    w.ceded AS ceded_amount,
    d.acceptance,
    d.accept_deadline,
    b.payment_method,
    w.is_closed_at_issue,
    w.is_paid,
    w.is_partial AND NOT w.is_paid AS is_partially_paid,
    w.payment_at AS paid_at,
    w.payment_source AS paid_at_source,
    w.is_ceded,
    coalesce(c.is_processing, false) AS is_cession_processing,
    w.assignee_rut,
    w.assignee_name,
    if(p.root_key <> b.doc_key, rb.dte_type_code, NULL) AS root_dte_type_code,
    if(p.root_key <> b.doc_key, rb.folio, NULL) AS root_folio,
    p.has_target,
    w.estimated OR p.is_estimated AS is_estimated,
    b.retention_type,
    b.vat_withheld,
    b.state,
    if(d.issuer_first, b.issued_entity_id, b.received_entity_id) AS master_entity_id,
    if(d.issuer_first, 'issued', 'received') AS document_type,
    if(d.issuer_first, b.issued_id, b.received_id) AS document_id,
    b.issued_id AS issued_document_id,
    b.received_id AS received_document_id,
    b.doc_key,
    b.synced_at,
    getvariable('as_of') AS as_of
FROM staging.both_sides AS b
INNER JOIN staging.terms AS d ON b.doc_key = d.doc_key
INNER JOIN staging.amounts AS a ON b.doc_key = a.doc_key
INNER JOIN staging.parties AS p ON b.doc_key = p.doc_key
INNER JOIN staging.balances AS w ON b.doc_key = w.doc_key AND p.our_role = w.role
LEFT JOIN staging.both_sides AS rb ON p.root_key = rb.doc_key
LEFT JOIN staging.cessions AS c ON b.doc_key = c.doc_key
LEFT JOIN ref.dte_types AS t ON b.dte_type_code = t.code

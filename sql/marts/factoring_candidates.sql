-- Which receivables may be ceded today, with every reason why one may not. Law and SII first
-- (Ley 19.983, Circular 35/2017, Formato AEC), then market practice: limits are the user's,
-- in ref.factoring_terms and ref.related_ruts. Offers: FROM marts.factoring_offer(…).
-- Codes: type_not_cedible · type_needs_review (43, 46: ask SII first) · cash_or_free ·
-- acceptance_pending (eight days not over, or SII's reception unknown) · claimed · annulled
-- (SII's NCA) · paid · no_balance (credited by notes) · already_ceded · cession_processing ·
-- past_due · due_date_unknown · below_minimum · invalid_rut · unidentified_debtor ·
-- related_debtor · over_concentration · not_in_pesos · reception_unknown (nothing shows that
-- SII took it in) · credit_note_unseen (one is known and is not in the data: the balance may be
-- too high). already_ceded is also what SII's CED says without a cession in the data.
-- issuer_rut: RUT of the issuer.
-- dte_type_code: SII document type.
-- folio: Folio.
-- eligible: No reason speaks against it.
-- reasons: Every reason code that does, empty when eligible.
-- company_rut: The user's company: the seller.
-- counterparty_rut: RUT of the debtor.
-- counterparty_name: Its name.
-- date_issued: Issue date.
-- due_date: When it is to be paid.
-- days_to_due: Days from as_of to the due date; negative when past.
-- total_clp: Total, whole pesos.
-- open_balance_clp: What would be ceded: the balance, whole pesos.
-- acceptance: claimed, accepted_express, accepted_tacit or pending.
-- debtor_share_percent: Share of the debtor in the company's open receivables.
-- document_id: Tu Pana's id.
-- as_of: The day these figures are of, in Santiago.
WITH limits AS (
    -- A company named twice gets the narrower limit.
    SELECT
        company_rut,
        max(minimum_clp) AS minimum_clp,
        min(maximum_days_overdue) AS maximum_days_overdue,
        min(maximum_share_percent) AS maximum_share_percent
    FROM ref.factoring_terms
    GROUP BY company_rut
),

terms AS (
    SELECT
        c.rut AS company_rut,
        coalesce(m.minimum_clp, o.minimum_clp, 1) AS minimum_clp,
        coalesce(m.maximum_days_overdue, o.maximum_days_overdue, 0) AS maximum_days_overdue,
        coalesce(m.maximum_share_percent, o.maximum_share_percent) AS maximum_share_percent
    FROM (SELECT DISTINCT company_rut AS rut FROM marts.receivables) AS c
    LEFT JOIN limits AS m ON c.rut = m.company_rut
    LEFT JOIN limits AS o ON o.company_rut IS NULL
),

shares AS (
    SELECT
        company_rut,
        counterparty_rut,
        round(
            sum(open_balance_clp) * 100
            / nullif(sum(sum(open_balance_clp)) OVER (PARTITION BY company_rut), 0), 2
        )::DECIMAL(5, 2) AS share_percent
    FROM marts.receivables_aging
    GROUP BY company_rut, counterparty_rut
),

judged AS (
    SELECT
        r.*,
        s.share_percent,
        -- SII, Formato AEC 1.1: 33, 34, 43 and 46 only.
        if(NOT t.cedible, 'type_not_cedible', NULL) AS r1,
        if(r.dte_type_code IN ('43', '46'), 'type_needs_review', NULL) AS r2,
        -- Circular SII 35/2017, Oficio 116/2020: contado documents cannot be ceded.
        if(r.is_closed_at_issue, 'cash_or_free', NULL) AS r3,
        -- Ley 19.983 art. 3: accepted by word, or by silence after eight days.
        if(t.claimable AND r.acceptance = 'pending', 'acceptance_pending', NULL) AS r4,
        if(r.is_claimed, 'claimed', NULL) AS r5,
        if(v.is_annulled, 'annulled', NULL) AS r6,
        if(r.is_paid, 'paid', NULL) AS r7,
        if(
            coalesce(r.open_balance = 0, false) AND NOT r.is_paid AND NOT r.is_ceded
            AND NOT r.is_closed_at_issue, 'no_balance', NULL
        ) AS r8,
        if(r.is_ceded OR coalesce(n.cession, false), 'already_ceded', NULL) AS r9,
        if(d.is_cession_processing, 'cession_processing', NULL) AS r10,
        if(r.days_overdue > k.maximum_days_overdue, 'past_due', NULL) AS r11,
        -- Ley 21.131: thirty days from reception is a term too; from issue is only our guess.
        if(
            coalesce(r.due_date_source NOT IN ('document', 'reception+30'), true),
            'due_date_unknown', NULL
        ) AS r12,
        if(r.open_balance_clp > 0 AND r.open_balance_clp < k.minimum_clp, 'below_minimum', NULL)
            AS r13,
        if(NOT coalesce(sr.is_valid AND br.is_valid, false), 'invalid_rut', NULL) AS r14,
        if(r.buyer_rut IN ('55555555-5', '66666666-6'), 'unidentified_debtor', NULL) AS r15,
        if(r.counterparty_is_own OR x.related_rut IS NOT NULL, 'related_debtor', NULL) AS r16,
        if(s.share_percent > k.maximum_share_percent, 'over_concentration', NULL) AS r17,
        if(r.currency IS DISTINCT FROM 'CLP', 'not_in_pesos', NULL) AS r18,
        if(t.cedible AND d.date_reception IS NULL, 'reception_unknown', NULL) AS r19,
        -- SII's ENC and NCA lower the balance even where the note itself is not here.
        if(coalesce(n.credit_note, false), 'credit_note_unseen', NULL) AS r20,
        concat_ws(
            ' ', r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15, r16, r17, r18,
            r19, r20
        ) AS why
    FROM marts.receivables AS r
    INNER JOIN marts.documents AS d ON r.doc_key = d.doc_key
    INNER JOIN ref.dte_types AS t ON r.dte_type_code = t.code
    INNER JOIN terms AS k ON r.company_rut = k.company_rut
    LEFT JOIN shares AS s
        ON r.company_rut = s.company_rut AND r.counterparty_rut = s.counterparty_rut
    LEFT JOIN staging.events AS v ON r.doc_key = v.doc_key
    LEFT JOIN staging.unseen AS n ON r.doc_key = n.doc_key
    LEFT JOIN staging.ruts AS sr ON r.seller_rut = sr.rut
    LEFT JOIN staging.ruts AS br ON r.buyer_rut = br.rut
    LEFT JOIN (SELECT DISTINCT company_rut, related_rut FROM ref.related_ruts) AS x
        ON r.company_rut = x.company_rut AND r.buyer_rut = x.related_rut
)

SELECT
    issuer_rut,
    dte_type_code,
    folio,
    why = '' AS eligible,
    if(why = '', []::VARCHAR[], string_split(why, ' ')) AS reasons,
    company_rut,
    counterparty_rut,
    counterparty_name,
    date_issued,
    due_date,
    (due_date - as_of)::INTEGER AS days_to_due,
    total_clp,
    open_balance_clp,
    acceptance,
    share_percent AS debtor_share_percent,
    document_id,
    as_of
FROM judged

"""The tables of a world's file."""

from __future__ import annotations

VERSION = 8
"""Of the schema. A file of another version is refused, never converted: worlds are made anew."""

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entity (
  id INTEGER PRIMARY KEY, rut TEXT NOT NULL UNIQUE, name TEXT NOT NULL, own INTEGER NOT NULL,
  email TEXT, address TEXT, district TEXT, city TEXT, phone TEXT, activity_code TEXT,
  activity_name TEXT, looked_up INTEGER NOT NULL);
CREATE TABLE document (
  id INTEGER PRIMARY KEY, dte_type TEXT NOT NULL, folio TEXT, date_issued TEXT NOT NULL,
  sender_id INTEGER, sender_rut TEXT NOT NULL, sender_name TEXT,
  receiver_id INTEGER, receiver_rut TEXT NOT NULL, receiver_name TEXT,
  net TEXT NOT NULL, exempt TEXT NOT NULL, iva TEXT NOT NULL, total TEXT NOT NULL,
  currency TEXT NOT NULL, exchange_rate TEXT, retention TEXT, state TEXT NOT NULL,
  is_paid INTEGER NOT NULL, has_credit_note INTEGER NOT NULL, payment_method TEXT,
  due_date TEXT, retention_type TEXT, received_at TEXT, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL, json_param TEXT, xml TEXT, vat_withheld INTEGER,
  is_sandbox INTEGER NOT NULL, received_on TEXT,
  source INTEGER NOT NULL);
CREATE TABLE line (
  document_id INTEGER NOT NULL, position INTEGER NOT NULL, line_number TEXT, item_name TEXT,
  item_description TEXT, item_code TEXT, item_type_code TEXT, quantity TEXT, unit TEXT,
  unit_price TEXT, discount_percent TEXT, is_exempt INTEGER NOT NULL, item_total TEXT,
  PRIMARY KEY (document_id, position)) WITHOUT ROWID;
CREATE TABLE reference (
  document_id INTEGER NOT NULL, position INTEGER NOT NULL, reference_folio TEXT,
  reference_date TEXT, reference_code TEXT, reference_reason TEXT, dte_type_code TEXT,
  PRIMARY KEY (document_id, position)) WITHOUT ROWID;
CREATE TABLE event (
  document_id INTEGER NOT NULL, code TEXT NOT NULL, at TEXT NOT NULL,
  responsable_rut TEXT NOT NULL, responsable_dv TEXT NOT NULL,
  PRIMARY KEY (document_id, at, code)) WITHOUT ROWID;
CREATE TABLE body (
  document_id INTEGER PRIMARY KEY, lean TEXT NOT NULL, trace_info TEXT NOT NULL,
  rest TEXT NOT NULL, log TEXT NOT NULL, traces TEXT NOT NULL, book TEXT NOT NULL);
CREATE TABLE json_param (
  key TEXT NOT NULL, value TEXT NOT NULL, document_id INTEGER NOT NULL,
  searchable_at REAL NOT NULL, PRIMARY KEY (key, value, document_id)) WITHOUT ROWID;
CREATE TABLE cession (
  id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL, assignee_rut TEXT NOT NULL,
  assignee_name TEXT NOT NULL, assignee_id INTEGER, amount TEXT NOT NULL, status TEXT NOT NULL,
  status_message TEXT, source TEXT NOT NULL, sent_at TEXT, created_at TEXT NOT NULL);
CREATE INDEX json_param_searchable ON json_param (searchable_at);
CREATE INDEX json_param_document ON json_param (document_id);
CREATE INDEX cession_document ON cession (document_id);
CREATE TABLE schedule (
  id INTEGER PRIMARY KEY, sender_id INTEGER NOT NULL, receiver_id INTEGER, dte_type TEXT,
  frequency TEXT, day_of_month INTEGER, day_of_week INTEGER, next_execution TEXT, status TEXT,
  amount TEXT, currency TEXT, currency_day INTEGER, completed_occurrences INTEGER,
  max_occurrences INTEGER, start_date TEXT, end_date TEXT, end_type TEXT, item_name TEXT,
  created_at TEXT, updated_at TEXT, details TEXT, refs TEXT, adjustment TEXT);
CREATE TABLE credential (
  id INTEGER PRIMARY KEY, user_rut TEXT, entity_id INTEGER, type_id INTEGER, type_name TEXT,
  status TEXT, created_at TEXT);
CREATE TABLE enrollment (
  id TEXT PRIMARY KEY, entity_id INTEGER NOT NULL, user_rut TEXT NOT NULL, type_id INTEGER NOT NULL,
  verdict TEXT NOT NULL, created_at REAL NOT NULL, due REAL NOT NULL, credential_id INTEGER)
  WITHOUT ROWID;
CREATE TABLE webhook (
  id INTEGER PRIMARY KEY, entity_id INTEGER, url TEXT, secret TEXT, events TEXT, is_active INTEGER,
  last_status_code INTEGER, last_sent_at TEXT, success_rate TEXT, created_at TEXT,
  updated_at TEXT);
CREATE TABLE sync (
  entity_id INTEGER, scrape_type TEXT, frequency_hours INTEGER, last_success_at TEXT,
  last_status TEXT, PRIMARY KEY (entity_id, scrape_type));
CREATE TABLE batch (
  id TEXT PRIMARY KEY, is_sandbox INTEGER NOT NULL, idempotency_key TEXT,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, warnings TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch_document (
  batch_id TEXT NOT NULL, position INTEGER NOT NULL, asked TEXT NOT NULL, orders TEXT NOT NULL,
  document_id INTEGER, status TEXT NOT NULL, steps TEXT NOT NULL, due REAL, told TEXT,
  errors TEXT, issued_at REAL, PRIMARY KEY (batch_id, position)) WITHOUT ROWID;
CREATE INDEX batch_document_due ON batch_document (due) WHERE due IS NOT NULL;
CREATE TABLE idempotency (
  scope TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, batch_id TEXT, refusal TEXT,
  created_at REAL NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE entry (
  number INTEGER PRIMARY KEY, document_id INTEGER NOT NULL, event_code TEXT NOT NULL,
  at REAL NOT NULL, was_paid INTEGER NOT NULL);
CREATE INDEX entry_document ON entry (document_id);
CREATE TABLE cession_batch (
  id TEXT PRIMARY KEY, entity_id INTEGER NOT NULL, assignee_rut TEXT NOT NULL,
  assignee_name TEXT NOT NULL, created_at REAL NOT NULL, due REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE cession_item (
  batch_id TEXT NOT NULL, position INTEGER NOT NULL, document_id INTEGER NOT NULL,
  status TEXT NOT NULL, cession_id INTEGER, error TEXT,
  PRIMARY KEY (batch_id, position)) WITHOUT ROWID;
CREATE INDEX cession_item_open ON cession_item (batch_id) WHERE status = 'processing';
CREATE TABLE postponed (
  due REAL NOT NULL, path TEXT NOT NULL, body BLOB NOT NULL, idempotency_key TEXT,
  defaults INTEGER NOT NULL, key TEXT NOT NULL);
CREATE TABLE folio (
  issuer_rut TEXT NOT NULL, dte_type TEXT NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (issuer_rut, dte_type)) WITHOUT ROWID;
CREATE TABLE issued (
  document_id INTEGER PRIMARY KEY, batch_id TEXT NOT NULL, position INTEGER NOT NULL,
  asked TEXT NOT NULL, dte_type TEXT NOT NULL, folio TEXT NOT NULL, issuer_rut TEXT NOT NULL,
  receiver_rut TEXT NOT NULL, date_issued TEXT NOT NULL, net TEXT NOT NULL,
  exempt TEXT NOT NULL, iva TEXT NOT NULL, total TEXT NOT NULL, is_sandbox INTEGER NOT NULL,
  issued_at REAL NOT NULL);
"""

INDEXES = """
CREATE INDEX document_sender ON document (sender_id, date_issued, id);
CREATE INDEX document_receiver ON document (receiver_id, date_issued, id);
CREATE INDEX document_folio ON document (sender_rut, dte_type, folio);
"""

"""Reverse ETL: documents issued from rows, at most one per row key, none lost in silence."""

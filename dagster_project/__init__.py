"""The moves of ``tupana_etl`` as Dagster assets, checks and schedules: no business rule here."""

"""`make backfill`: Airflow's own backfill of a model's months."""

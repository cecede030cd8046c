#!/bin/sh
# Amazon MWAA sources this on every container before Airflow starts: the one way to give Airflow variables there.
export RETRAINING_ENV=@ENVIRONMENT@
export RETRAINING_HOME=/usr/local/airflow/dags

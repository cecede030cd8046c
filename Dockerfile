# The same set of packages as on a laptop, on Airflow's own image. Not built in this project's CI: it has no Docker.
FROM apache/airflow:3.3.2-python3.11 AS airflow
COPY --chown=airflow:0 pyproject.toml uv.lock LICENSE locks/uv.txt /opt/airflow/
RUN pip install --no-cache-dir --no-deps --require-hashes -r uv.txt \
    && uv export --quiet --frozen --no-default-groups --group run --no-emit-project --output-file /tmp/requirements.txt \
    && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include
# Editable: Docker Compose mounts plugins/ over the copy, and the package is then what is mounted.
RUN pip install --no-cache-dir --no-deps --editable /opt/airflow

# The local SageMaker, and beside it the environment in which it runs job scripts.
FROM airflow AS local-sagemaker
USER root
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/* \
    && install -d -o airflow -g 0 /state
USER airflow
COPY locks/jobs.txt /tmp/jobs.txt
RUN python -m venv /opt/airflow/.venv-jobs \
    && /opt/airflow/.venv-jobs/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/jobs.txt
ENTRYPOINT ["python", "-m"]
CMD ["include.sagemaker_local", "--host", "0.0.0.0", "--port", "5005", "--state", "/state", "--python", "/opt/airflow/.venv-jobs/bin/python"]

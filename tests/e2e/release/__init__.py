"""A stack for the tests of the release: one model per way a release can go, each with a group of its own."""

WAITING = (
    "airflow_yes",
    "airflow_no",
    "cli_yes",
    "cli_no",
    "boto3_yes",
    "boto3_no",
    "race",
    "rejection_fails",
    "deadline_fails",
    "deadline_rejects",
    "deadline_expires",
)
REFUSED = ("gate_fails", "gate_skips", "gate_registers")
MODELS = (*WAITING, "two_months", *REFUSED)

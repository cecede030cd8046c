"""What the DAGs' Python tasks do: plan a run, decide at the gate, plan a rollback or a promotion."""

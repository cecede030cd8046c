"""`make bench`: what the local SageMaker and the DAGs cost, each figure beside its own baseline."""

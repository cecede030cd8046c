"""The executor: runs processing and training jobs as processes of their own, as SageMaker runs containers."""

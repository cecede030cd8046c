"""A local SageMaker: the control plane, the jobs and the endpoints of SageMaker on one machine, without Docker or AWS."""

__version__ = "0.1.0"

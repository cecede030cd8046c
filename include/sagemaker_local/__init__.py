"""A local SageMaker: control plane, jobs and endpoints of SageMaker on one machine, without Docker or AWS."""

__version__ = "0.1.0"

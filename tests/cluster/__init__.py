"""A Kubernetes for the tests: `python -m tests.cluster up`; README.md tells the rest."""

"""Check before a job runs that the cluster and its storage can do the work."""

"""Events of OpenLineage: which datasets each run of a job has read and written."""

"""Locks on storage, so that only one process at a time writes to an output."""

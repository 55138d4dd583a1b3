"""Spark sessions, slots and tasks."""

"""What retraining keeps on storage: lock, journal, history and snapshots."""

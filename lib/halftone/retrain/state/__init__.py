"""What retraining keeps on storage: journal, history and snapshots."""

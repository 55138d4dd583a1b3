"""Send what a job measures to Prometheus and OpenTelemetry."""

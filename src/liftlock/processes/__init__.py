"""One module an operating-system process: settings and wiring; the only place that chooses adapters."""

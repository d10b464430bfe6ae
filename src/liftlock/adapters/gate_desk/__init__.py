"""gated, asked by the control plane."""

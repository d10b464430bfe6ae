"""Package indexes by their own protocols."""

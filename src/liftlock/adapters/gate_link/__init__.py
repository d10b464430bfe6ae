"""feedd's end of the link to the gate."""

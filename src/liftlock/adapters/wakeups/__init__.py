"""Wake-ups within one process."""

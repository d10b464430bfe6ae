"""Decisions only: no I/O, clock, randomness or logging. Bytes and `now` come in, verdicts go out."""

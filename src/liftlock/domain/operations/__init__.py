"""Operations of two stages: what is configured, what may cross between them, and how far one has come."""

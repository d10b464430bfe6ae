"""Events for others: how they are named, who asked for which, and what stops those that cause themselves."""

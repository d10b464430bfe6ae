"""Bugzilla over REST: upstream, with or without the shipped extension, and Mozilla's."""

"""`liftlock demo`: a newcomer's first minute, in which every claim is observed on a running system."""

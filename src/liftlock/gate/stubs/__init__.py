"""What runs as the pusher: each file stands alone and is copied to where the repositories are."""

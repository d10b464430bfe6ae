"""The control plane over HTTP, for workers: requests signed by Hawk, errors as exceptions."""

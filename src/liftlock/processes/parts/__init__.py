"""The control plane's parts: each builds the routes and loops of one service from the foundation."""

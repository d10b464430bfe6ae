"""The drop box that hooks of repositories leave their rings in."""

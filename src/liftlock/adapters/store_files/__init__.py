"""The worker's store of inputs on its own file system."""

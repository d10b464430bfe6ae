"""What a task reaches besides its inputs: an allow-list of places, and a package index of what was locked."""

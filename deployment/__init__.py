"""The stack on AWS: its template, its package, deploying and removing it, and the end-to-end run. Never deployed itself."""

"""One reader of the feed for each web process, and what it keeps in memory for its sockets."""

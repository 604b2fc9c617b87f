"""One module a page: what it reads, what it says first, and what it lets people do."""

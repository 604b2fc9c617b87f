"""The surroundings of the project's own engine: rows, databases, callers, workers, sweepers."""

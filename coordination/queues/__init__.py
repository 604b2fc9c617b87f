"""Queues: work handed from process to process, at least once, with proof of who has it."""

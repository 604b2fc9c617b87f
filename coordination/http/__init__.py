"""Lets services that share neither database nor broker call this project's participants by HTTP."""

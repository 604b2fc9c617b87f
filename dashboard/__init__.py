"""The live dashboard: pages, one feed reader per process, and the socket that serves both.

It acts only through coordination's public API and shows only what coordination's records say.
"""

"""Mechanisms that know no business: the writer, its log, timers, consumers, caches, limits and HTTP."""

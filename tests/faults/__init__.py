"""Faults of the real process: kills, stops, full disks, jumping clocks, slow commands (issue 2, sections 2 and 7)."""

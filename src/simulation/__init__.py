"""Tuanzi simulated: students, merchants and riders in virtual time over the real rooms, with seeded faults (B1 to C4).

The outside world (world, students, staff) talks to a `VirtualHouse` as apps talk to the API: by the rooms' own routes.
What it was told is kept by an `Auditor`, and compared with the databases when everything has come to rest.
"""

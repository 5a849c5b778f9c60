"""The rival: the order path as a good engineer writes it in a week with FastAPI and SQLAlchemy's async ORM.

Same endpoints, same tables and same meaning as Tuanzi's path from opening a group to its exact split, with one
transaction a request on SQLite (WAL, synchronous=FULL, BEGIN IMMEDIATE). It leaves out what the measured path does not
touch, to its own advantage: one tier a campaign, no deadlines, no refunds, one database for orders and money.
With BASELINE_DATABASE it keeps all on MariaDB instead, where rows are locked that SQLite's one writer needs no locks
for (`database`).
Run by hand: `BASELINE_DATA=<folder> uvicorn benchmarks.baseline.app:app`; compared by `benchmarks.order_path` and
`benchmarks.order_path_cluster`.
"""

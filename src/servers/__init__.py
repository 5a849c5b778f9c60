"""Real servers started privately: MariaDB, Redis Cluster, RabbitMQ and Kafka, on free ports, without Docker.

For development (`tuanzi cluster`), tests and benchmarks. Knows nothing of Tuanzi, which runs without it.
"""

"""The command log and the event log, in this process and on a real Kafka."""

"""Where the command log and the event log can run: in this process, or on Kafka."""

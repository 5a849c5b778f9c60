"""An installation of many processes: some serve people, some decide, and a campus has one of those at a time (D3, E1).

What passes between them: calls by the command log, replies by a line, events by the event log, bells by the fan-out.
Only the databases are the truth; every other thing here may be lost and is found again there.
"""

from tuanzi.installation.fronts import Front
from tuanzi.installation.meeting import ERRANDS, Engines, engines_of, kafka_of, kafka_refusal, log_names, sources_of
from tuanzi.installation.workers import WorkerSide
from tuanzi.installation.writers import WriterSide

__all__ = [
    "ERRANDS",
    "Engines",
    "Front",
    "WorkerSide",
    "WriterSide",
    "engines_of",
    "kafka_of",
    "kafka_refusal",
    "log_names",
    "sources_of",
]

"""Where each need of the house can run: `<need>/<engine>.py`; chosen in `wiring` and nowhere else."""

"""The tests: a folder for each room, and one for the house, engines, journeys and faults."""

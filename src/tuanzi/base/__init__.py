"""Words that every room shares: money, time, ids, refusals, events, the unit of work. Of libraries only msgspec."""

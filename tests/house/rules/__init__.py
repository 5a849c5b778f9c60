"""All rules, from the frame of the house to its papers."""

from tests.house.rules import arithmetic, events, frame, papers, problems, shape, sql, tests_kept

RULES = (
    *frame.RULES,
    *shape.RULES,
    *arithmetic.RULES,
    *sql.RULES,
    *events.RULES,
    *problems.RULES,
    *tests_kept.RULES,
    *papers.RULES,
)

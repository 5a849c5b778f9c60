-- What: portions of dishes by meal, held and sold (B2).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table.

CREATE TABLE portions (
    dish_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(40) NOT NULL,
    total BIGINT NOT NULL,
    held BIGINT NOT NULL CHECK (held >= 0),
    sold BIGINT NOT NULL CHECK (sold >= 0),
    is_closed BIGINT NOT NULL,
    PRIMARY KEY (dish_id, meal_id),
    CHECK (held + sold <= total)
);

CREATE INDEX portions_by_meal ON portions (meal_id, dish_id);

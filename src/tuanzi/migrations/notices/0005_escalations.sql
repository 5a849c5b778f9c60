-- What: messages that nobody acknowledged in time and that were handed to other means, by stream (A4): a row stands for
-- all numbers of a stream from one to another; later it says that they arrived all the same.
-- Safe beside the release before: a table nobody else reads.
-- Undo: drop the table; the other means then hear of the last messages once more, under the same ids.

CREATE TABLE stream_escalations (
    id VARCHAR(100) NOT NULL PRIMARY KEY,
    stream VARCHAR(80) NOT NULL,
    first_number BIGINT NOT NULL CHECK (first_number > 0),
    last_number BIGINT NOT NULL CHECK (last_number >= first_number),
    state VARCHAR(10) NOT NULL CHECK (state IN ('due', 'handed', 'late')),
    at_ms BIGINT NOT NULL
);

CREATE INDEX stream_escalations_by_stream ON stream_escalations (stream, last_number);
CREATE INDEX stream_escalations_by_state ON stream_escalations (state, at_ms, id);

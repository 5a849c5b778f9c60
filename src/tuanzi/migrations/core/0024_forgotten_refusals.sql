-- What: guests' seats that became no order, refused by a release that kept them for ever, are forgotten as later ones are (B7).
-- The time is a day more than a week after they were asked for: home had let them go by then, and repeats are told no more.
-- Safe beside the release before: rows of a table it has; a command that it does not know waits for one that does.
-- Undo: delete these timers.

INSERT INTO timers (id, due_at_ms, command, body, attempts)
SELECT 'forget-seat:' || g.order_id, g.asked_at_ms + 691200000, 'guests.ForgetSeat',
    '{"order_id":"' || g.order_id || '"}', 0
FROM guest_seats g LEFT JOIN orders o ON o.id = g.order_id LEFT JOIN timers t ON t.id = 'forget-seat:' || g.order_id
WHERE g.state = 'gone' AND o.id IS NULL AND t.id IS NULL;

-- What: sub-orders that a release without such watches split are watched too: whether their shops accept them, and then
-- whether they are ready (B8, B9). A split that has a timer, or was made since that release, is left alone.
-- Safe beside the release before: rows of a table it has, with a command it knows since 0018.
-- Undo: delete these timers.

INSERT INTO timers (id, due_at_ms, command, body, attempts)
SELECT 'accept:' || group_id, MIN(planned_at_ms) + 300000, 'orders.WatchAcceptance',
    '{"group_id":"' || group_id || '","order_ids":[' || GROUP_CONCAT(DISTINCT '"' || order_id || '"') || ']}', 0
FROM sub_orders
WHERE planned_at_ms < (SELECT MIN(applied_at_ms) FROM schema_migrations WHERE name = 'core/0020_ready_terms')
AND 'accept:' || group_id NOT IN (SELECT id FROM timers) AND 'ready:' || group_id NOT IN (SELECT id FROM timers)
AND state IN ('planned', 'accepted', 'cooking')
GROUP BY group_id;

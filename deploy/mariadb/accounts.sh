# Sourced by the entry point of the mariadb image when a data folder is new; COPIES is the primary's name on a replica.
# Nothing of this is in the binary log, so that both servers begin with the same: nothing.
docker_process_sql <<SQL
SET SESSION sql_log_bin = 0;
CREATE USER 'tuanzi'@'%' IDENTIFIED BY '${DATABASE_PASSWORD}';
GRANT ALL PRIVILEGES ON \`tuanzi\\_%\`.* TO 'tuanzi'@'%';
CREATE USER 'tuanzi_replica'@'%' IDENTIFIED BY '${REPLICATION_PASSWORD}';
GRANT REPLICATION SLAVE ON *.* TO 'tuanzi_replica'@'%';
CREATE USER 'tuanzi_operator'@'%' IDENTIFIED BY '${OPERATOR_PASSWORD}';
GRANT REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, READ_ONLY ADMIN, SLAVE MONITOR, BINLOG MONITOR, BINLOG ADMIN,
    CONNECTION ADMIN, RELOAD ON *.* TO 'tuanzi_operator'@'%';
RESET MASTER;
SQL
if [ -n "${COPIES:-}" ]; then
    docker_process_sql <<SQL
SET GLOBAL gtid_slave_pos = '';
CHANGE MASTER TO MASTER_HOST = '${COPIES}', MASTER_USER = 'tuanzi_replica', MASTER_PASSWORD = '${REPLICATION_PASSWORD}',
    MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1, MASTER_USE_GTID = slave_pos;
SQL
fi

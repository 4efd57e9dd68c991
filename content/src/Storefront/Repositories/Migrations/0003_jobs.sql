-- Jobs wait here, are retried here, and end here when they are dead: written in the transaction of what they are about.
CREATE TABLE outbox (
  id           TEXT    COLLATE "C" PRIMARY KEY, -- UUIDv7: the message id, which the inbox remembers
  type         TEXT    NOT NULL,
  body         BYTEA   NOT NULL,               -- bytes: text that a database refuses must not make a failure unrecordable
  trace        TEXT    NULL,                   -- traceparent of the request that made the job
  attempt      BIGINT  NOT NULL DEFAULT 0,
  state        INTEGER NOT NULL DEFAULT 0,     -- 0 waits, 1 dead
  available_at BIGINT  NOT NULL,               -- unix milliseconds of the database's clock, as all times here
  lease_until  BIGINT  NOT NULL DEFAULT 0,
  lease_token  TEXT    NULL,
  created_at   BIGINT  NOT NULL,
  last_error   TEXT    NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02); -- rows are short-lived: room for their updates, and the dead ones cleaned up early
CREATE INDEX ix_outbox_ready ON outbox (available_at) WHERE state = 0;
CREATE INDEX ix_outbox_dead ON outbox (id) WHERE state = 1;

-- What was done: written in the transaction of the effect, so that a second delivery changes nothing.
CREATE TABLE inbox (
  message_id   TEXT   PRIMARY KEY,
  processed_at BIGINT NOT NULL
);
CREATE INDEX ix_inbox_age ON inbox (processed_at);

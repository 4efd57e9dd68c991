CREATE TABLE invoices_table (
  id              TEXT   COLLATE "C" PRIMARY KEY, -- UUIDv7: sorts by time, so the key is also the cursor
  owner           TEXT   NOT NULL,                -- `sub` of the token
  idempotency_key TEXT   NOT NULL,
  fingerprint     TEXT   NOT NULL,                -- of the request: the same key with another body is refused
  name            TEXT   NOT NULL,
  version         BIGINT NOT NULL,                -- counts the updates; the entity tag
  UNIQUE (owner, idempotency_key)
);
CREATE INDEX ix_invoices_table_owner ON invoices_table (owner, id);

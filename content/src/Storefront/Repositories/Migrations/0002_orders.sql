CREATE TABLE orders (
  id              TEXT    COLLATE "C" PRIMARY KEY,       -- UUIDv7: sorts by time, so the key is also the cursor
  owner           TEXT    NOT NULL,           -- `sub` of the token
  idempotency_key TEXT    NOT NULL,
  fingerprint     TEXT    NOT NULL,           -- of the request: the same key with another body is refused
  status          TEXT    NOT NULL CHECK (status IN ('pending', 'paid', 'declined', 'cancelled')),
  charging        INTEGER NOT NULL DEFAULT 0, -- 1 once the payment provider may have been asked: too late to cancel
  amount          BIGINT  NOT NULL,
  currency        TEXT    NOT NULL,
  created_at      BIGINT  NOT NULL,           -- unix milliseconds
  UNIQUE (owner, idempotency_key)
);
CREATE INDEX ix_orders_owner ON orders (owner, id);

CREATE TABLE order_items (
  order_id TEXT   COLLATE "C" NOT NULL REFERENCES orders (id),
  line     BIGINT NOT NULL,
  sku      TEXT   NOT NULL,
  quantity BIGINT NOT NULL CHECK (quantity > 0),
  price    BIGINT NOT NULL,                   -- of one piece, when the order was placed
  PRIMARY KEY (order_id, line)
);

CREATE TABLE receipts (
  id       TEXT   PRIMARY KEY,
  order_id TEXT   COLLATE "C" NOT NULL REFERENCES orders (id),
  sent_at  BIGINT NOT NULL
);

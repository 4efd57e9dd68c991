CREATE TABLE products (
  sku      TEXT   COLLATE "C" PRIMARY KEY,      -- keys sort by their bytes, in every database and language: cursors rely on it
  name     TEXT   NOT NULL,
  amount   BIGINT NOT NULL CHECK (amount >= 0), -- minor units of the currency
  currency TEXT   NOT NULL,
  version  BIGINT NOT NULL                      -- counts the updates; the entity tag
);

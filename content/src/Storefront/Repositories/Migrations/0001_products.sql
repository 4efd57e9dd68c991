CREATE TABLE products (
  sku      TEXT   PRIMARY KEY,
  name     TEXT   NOT NULL,
  amount   BIGINT NOT NULL CHECK (amount >= 0), -- minor units of the currency
  currency TEXT   NOT NULL,
  version  BIGINT NOT NULL                      -- counts the updates; the entity tag
);

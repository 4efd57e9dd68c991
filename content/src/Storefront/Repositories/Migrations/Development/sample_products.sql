-- Something to order on the first run. Applied in Development alone, after the numbered scripts.
INSERT INTO products (sku, name, amount, currency, version) VALUES
  ('COFFEE-1KG', 'Coffee beans, 1 kg', 2490, 'EUR', 1),
  ('FILTER-100', 'Paper filters, 100 pieces', 390, 'EUR', 1),
  ('GRINDER-01', 'Hand grinder', 8900, 'EUR', 1);

// The handlers of the service without a framework: the same statements, the same answers.
const { createHash, randomUUID } = require('node:crypto')
const { Pool } = require('pg')

const pool = new Pool({ connectionString: process.env.DATABASE, max: 20 })
const products = new Map()

// A name makes pg prepare the statement once for each connection.
const row = 'o.id, o.owner, o.status, o.amount, o.currency, o.created_at, i.sku, i.quantity, i.price'
const sql = {
  product: 'SELECT sku, name, amount, currency FROM products WHERE sku = $1',
  order: `SELECT ${row} FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = $1 ORDER BY i.line`,
  orders: `SELECT ${row} FROM (SELECT id, owner, status, amount, currency, created_at FROM orders WHERE owner = $1 AND id < $2 ORDER BY id DESC LIMIT $3) o
    JOIN order_items i ON i.order_id = o.id ORDER BY o.id DESC, i.line`,
  byKey: 'SELECT id FROM orders WHERE owner = $1 AND idempotency_key = $2',
  all: 'SELECT sku, name, amount, currency FROM products WHERE sku = ANY($1)',
  addOrder: `INSERT INTO orders (id, owner, idempotency_key, fingerprint, status, amount, currency, created_at)
    VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7) ON CONFLICT (owner, idempotency_key) DO NOTHING`,
  addItem: 'INSERT INTO order_items (order_id, line, sku, quantity, price) VALUES ($1, $2, $3, $4, $5)',
  addJob: "INSERT INTO outbox (id, type, body, available_at, created_at) VALUES ($1, 'charge-payment', $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 2000, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
}
const run = async (client, name, ...values) => (await client.query({ name, text: sql[name], values })).rows

const money = (amount, currency) => ({ amount: Number(amount), currency })

function toOrders(rows) {
  const orders = new Map()
  for (const r of rows) {
    if (!orders.has(r.id)) orders.set(r.id, { id: r.id, status: r.status, items: [], total: money(r.amount, r.currency), createdAt: new Date(Number(r.created_at)).toISOString(), owner: r.owner })
    orders.get(r.id).items.push({ sku: r.sku, quantity: Number(r.quantity), price: money(r.price, r.currency) })
  }
  return [...orders.values()].map(({ owner, ...order }) => ({ owner, order }))
}

exports.product = async (sku) => {
  if (products.has(sku)) return products.get(sku)
  const [found] = await run(pool, 'product', sku)
  if (found) products.set(sku, { sku: found.sku, name: found.name, price: money(found.amount, found.currency) })
  return products.get(sku)
}

exports.order = async (id, owner) => toOrders(await run(pool, 'order', id)).find((found) => found.owner === owner)?.order

exports.orders = async (owner, limit, after) => {
  const found = toOrders(await run(pool, 'orders', owner, after ?? '~', limit + 1)).map((each) => each.order)
  return { items: found.slice(0, limit), next: found.length > limit ? found[limit - 1].id : null }
}

exports.place = async (owner, key, items) => {
  const fingerprint = createHash('sha256').update(items.map((item) => `${item.sku} ${item.quantity}`).join('\n')).digest('hex')
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    if ((await run(client, 'byKey', owner, key)).length > 0) throw new Error('The key was used.')
    const known = new Map((await run(client, 'all', items.map((item) => item.sku))).map((found) => [found.sku, found]))
    const [id, now, currency] = [randomUUID(), Date.now(), known.get(items[0].sku).currency]
    const total = items.reduce((sum, item) => sum + item.quantity * Number(known.get(item.sku).amount), 0)
    await run(client, 'addOrder', id, owner, key, fingerprint, total, currency, now)
    for (const [line, item] of items.entries()) await run(client, 'addItem', id, line, item.sku, item.quantity, known.get(item.sku).amount)
    await run(client, 'addJob', randomUUID(), Buffer.from(JSON.stringify({ orderId: id })))
    await client.query('COMMIT')
    return { id, status: 'pending', items: items.map((item) => ({ ...item, price: money(known.get(item.sku).amount, currency) })), total: money(total, currency), createdAt: new Date(now).toISOString() }
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

// Fastify with its own plugins for the duties of the service; schemas check what comes in and write what goes out.
const { readFileSync } = require('node:fs')
const metrics = require('prom-client')
const shop = require('./shop')

const { ISSUER, AUDIENCE, CERTIFICATE, KEY, PUBLIC_KEY, PORT } = process.env
const seconds = new metrics.Histogram({ name: 'http_server_request_duration_seconds', help: 'of requests', labelNames: ['method', 'route', 'status'] })
metrics.collectDefaultMetrics()

const app = require('fastify')({ logger: true, bodyLimit: 64 * 1024, https: { cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) } })
app.addHook('onResponse', async (request, reply) => {
  seconds.observe({ method: request.method, route: request.routeOptions.url ?? '(none)', status: reply.statusCode }, reply.elapsedTime / 1000)
})
app.register(require('@fastify/helmet'))
app.register(require('@fastify/rate-limit'), { timeWindow: 1000, max: 1_000_000 })
app.register(require('@fastify/jwt'), {
  secret: { public: readFileSync(PUBLIC_KEY) },
  verify: { algorithms: ['RS256'], allowedIss: ISSUER, allowedAud: AUDIENCE, clockTolerance: 30_000, cache: 2000, cacheTTL: 60_000 }, // as the service keeps them
})

const needs = (scope) => async (request, reply) => {
  await request.jwtVerify()
  if (!request.user.scope.split(' ').includes(scope)) reply.code(403).send({ title: 'Forbidden' })
}
const object = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required })
const [string, integer, sku] = [{ type: 'string' }, { type: 'integer' }, { type: 'string', pattern: '^[A-Z0-9][A-Z0-9-]{0,39}$' }]
const money = object({ amount: integer, currency: string })
const order = object({ id: string, status: string, items: { type: 'array', items: object({ sku: string, quantity: integer, price: money }) }, total: money, createdAt: string })
const found = (reply, what) => what ?? reply.code(404).send({ title: 'Not Found' })

app.register(async (v1) => {
  v1.get('/empty', async (_, reply) => reply.code(204).send())
  v1.get('/products/:sku', { schema: { params: object({ sku }), response: { 200: object({ sku: string, name: string, price: money }) } } }, async (request, reply) =>
    found(reply, await shop.product(request.params.sku)))
  v1.get('/orders/:id', { onRequest: needs('orders:read'), schema: { params: object({ id: { type: 'string', format: 'uuid' } }), response: { 200: order } } }, async (request, reply) =>
    found(reply, await shop.order(request.params.id, request.user.sub)))
  v1.get('/orders', {
    onRequest: needs('orders:read'),
    schema: {
      querystring: object({ limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 }, after: { type: 'string', maxLength: 200 } }, []),
      response: { 200: object({ items: { type: 'array', items: order }, next: { type: ['string', 'null'] } }) },
    },
  }, async (request) => shop.orders(request.user.sub, request.query.limit, request.query.after))
  v1.post('/orders', {
    onRequest: needs('orders:write'),
    schema: {
      headers: object({ 'idempotency-key': { type: 'string', pattern: '^[!-~]{1,128}$' } }),
      body: object({ items: { type: 'array', minItems: 1, maxItems: 20, items: object({ sku, quantity: { type: 'integer', minimum: 1, maximum: 1000 } }) } }),
      response: { 201: order },
    },
  }, async (request, reply) => {
    const placed = await shop.place(request.user.sub, request.headers['idempotency-key'], request.body.items)
    return reply.code(201).header('location', `/v1/orders/${placed.id}`).send(placed)
  })
}, { prefix: '/v1' })
app.get('/metrics', async (_, reply) => reply.type(metrics.register.contentType).send(await metrics.register.metrics()))

app.listen({ port: Number(PORT), host: '127.0.0.1' })

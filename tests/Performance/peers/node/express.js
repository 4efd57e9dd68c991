// Express as its own guides put it into production: the packages that a team would add for the duties of the service.
const cluster = require('node:cluster')
const { readFileSync } = require('node:fs')
const express = require('express')
const helmet = require('helmet')
const { rateLimit } = require('express-rate-limit')
const pinoHttp = require('pino-http')
const metrics = require('prom-client')
const jwt = require('jsonwebtoken')
const { z } = require('zod')
const shop = require('./shop')

const workers = Number(process.env.WORKERS ?? 1)
if (workers > 1 && cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork()
  return
}

const { ISSUER, AUDIENCE } = process.env
const publicKey = readFileSync(process.env.PUBLIC_KEY)
const seconds = new metrics.Histogram({ name: 'http_server_request_duration_seconds', help: 'of requests', labelNames: ['method', 'route', 'status'] })
metrics.collectDefaultMetrics()

const app = express()
app.disable('x-powered-by')
app.use((request, response, next) => {
  const end = seconds.startTimer()
  response.on('finish', () => end({ method: request.method, route: request.route?.path ?? '(none)', status: response.statusCode }))
  next()
})
app.use(pinoHttp())
app.use(helmet())
app.use(rateLimit({ windowMs: 1000, limit: 1_000_000, standardHeaders: 'draft-8', legacyHeaders: false }))
app.use(express.json({ limit: '64kb' }))

const needs = (scope) => (request, response, next) => {
  try {
    const token = jwt.verify(request.get('authorization')?.replace('Bearer ', '') ?? '', publicKey, { algorithms: ['RS256'], issuer: ISSUER, audience: AUDIENCE, clockTolerance: 30 })
    if (!token.scope.split(' ').includes(scope)) return response.status(403).json({ title: 'Forbidden' })
    request.owner = token.sub
    next()
  } catch {
    response.status(401).json({ title: 'Unauthorized' })
  }
}
const checked = (schema, part) => (request, response, next) => {
  const result = schema.safeParse(request[part])
  if (!result.success) return response.status(400).json({ title: 'Bad Request', errors: result.error.issues })
  request.checked = { ...request.checked, [part]: result.data }
  next()
}
const sku = z.string().regex(/^[A-Z0-9][A-Z0-9-]{0,39}$/)
const found = (response, what) => (what ? response.json(what) : response.status(404).json({ title: 'Not Found' }))

app.get('/v1/empty', (_, response) => response.status(204).end())
app.get('/v1/products/:sku', checked(z.object({ sku }), 'params'), async (request, response) => found(response, await shop.product(request.params.sku)))
app.get('/v1/orders/:id', needs('orders:read'), checked(z.object({ id: z.uuid() }), 'params'), async (request, response) => found(response, await shop.order(request.params.id, request.owner)))
app.get('/v1/orders', needs('orders:read'), checked(z.object({ limit: z.coerce.number().int().min(1).max(100).default(20), after: z.string().max(200).optional() }), 'query'), async (request, response) =>
  response.json(await shop.orders(request.owner, request.checked.query.limit, request.checked.query.after)))
app.post('/v1/orders', needs('orders:write'), checked(z.object({ items: z.array(z.object({ sku, quantity: z.number().int().min(1).max(1000) })).min(1).max(20) }), 'body'), checked(z.object({ 'idempotency-key': z.string().regex(/^[!-~]{1,128}$/) }), 'headers'), async (request, response) => {
  const order = await shop.place(request.owner, request.checked.headers['idempotency-key'], request.checked.body.items)
  response.status(201).location(`/v1/orders/${order.id}`).json(order)
})
app.get('/metrics', async (_, response) => response.type(metrics.register.contentType).send(await metrics.register.metrics()))
app.use((error, request, response, _) => {
  request.log.error(error)
  response.status(500).json({ title: 'Internal Server Error' })
})

const server = require('node:https').createServer({ cert: readFileSync(process.env.CERTIFICATE), key: readFileSync(process.env.KEY) }, app)
server.listen(Number(process.env.PORT), '127.0.0.1')

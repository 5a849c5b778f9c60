// The public JavaScript client, unmodified: says on standard output what it hears, acknowledges each message.
// Called with the encoding (json or protobuf), the gateway's address, a token, and channels to subscribe to besides.
const [encoding, url, token, ...channels] = process.argv.slice(2)
const isBinary = encoding === 'protobuf'
const { Centrifuge } = await import(isBinary ? 'centrifuge/build/protobuf' : 'centrifuge')
// With Protobuf a payload is bytes; here they are JSON.
const read = (data) => (isBinary ? JSON.parse(new TextDecoder().decode(data)) : data)
const write = (data) => (isBinary ? new TextEncoder().encode(JSON.stringify(data)) : data)
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)
const client = new Centrifuge(url, { token, minReconnectDelay: 20, maxReconnectDelay: 50 })

client.on('connected', (context) => say({ event: 'connected', client: context.client }))
client.on('connecting', (context) => say({ event: 'connecting', code: context.code }))
client.on('disconnected', (context) => {
  say({ event: 'disconnected', code: context.code, reason: context.reason })
  process.exit(0)
})
client.on('subscribed', (context) =>
  say({ event: 'subscribed', channel: context.channel, recovered: context.recovered, recovering: context.wasRecovering })
)
client.on('message', (context) => say({ event: 'message', data: read(context.data) }))
client.on('publication', (context) => {
  say({ event: 'publication', channel: context.channel, number: context.offset, data: read(context.data) })
  client.rpc('ack', write({ number: context.offset })).then(() => say({ event: 'acked', number: context.offset }))
})
for (const channel of channels) {
  const subscription = client.newSubscription(channel)
  subscription.on('subscribed', (context) => say({ event: 'joined', channel, data: read(context.data) }))
  subscription.on('unsubscribed', (context) => say({ event: 'refused', channel, code: context.code }))
  subscription.on('publication', (context) => say({ event: 'picture', channel, data: read(context.data) }))
  subscription.subscribe()
}
client.connect()
process.stdin.on('end', () => client.disconnect()).resume()

// Runs other people's suites against a running server:
//
//   npm ci && node run.mjs --url http://localhost:8080/graphql --token TOKEN
//
// 1. every audit of graphql-http (GraphQL over HTTP): an audit that only warns counts as failed;
// 2. the rules of graphql-transport-ws, with the graphql-ws client and with raw frames.
//
// The token's role must be allowed to introspect, because audits ask for __type.
// Exit code: 0 when everything passed, 1 when something failed, 2 for wrong arguments.
import { parseArgs } from 'node:util';
import { serverAudits } from 'graphql-http';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    token: { type: 'string' },
    'ws-url': { type: 'string' }, // default: the url with ws for http
    subscription: { type: 'string', default: 'subscription { events { __typename } }' }, // one that stays open
    only: { type: 'string' }, // http or ws
    patience: { type: 'string', default: '10' }, // seconds for one check
    verbose: { type: 'boolean', default: false },
  },
});
if (!options.url || !options.token) {
  console.error('usage: node run.mjs --url URL --token TOKEN [--ws-url URL] [--subscription DOCUMENT] [--only http|ws] [--verbose]');
  process.exit(2);
}
const wsURL = options['ws-url'] ?? options.url.replace(/^http/, 'ws');
const patience = Number(options.patience) * 1000;
let failed = 0;

function report(suite, results) {
  const bad = results.filter((r) => r.problem);
  for (const r of results) {
    if (r.problem) console.log(`FAIL ${suite} ${r.name}\n     ${r.problem}`);
    else if (options.verbose) console.log(`ok   ${suite} ${r.name}`);
  }
  failed += bad.length;
  console.log(`${suite}: ${results.length - bad.length} passed, ${bad.length} failed`);
}

async function auditHTTP() {
  const audits = serverAudits({
    url: options.url,
    fetchFn: (url, init = {}) =>
      fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${options.token}` } }),
  });
  const results = [];
  for (const audit of audits) {
    const name = `${audit.id} ${audit.name}`;
    try {
      const result = await audit.fn();
      results.push({ name, problem: result.status === 'ok' ? null : `${result.status}: ${result.reason}` });
    } catch (err) {
      results.push({ name, problem: String(err) });
    }
  }
  report('graphql-http', results);
}

// within rejects when a promise takes longer than a check may.
function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${options.patience} s`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function expect(got, want, what) {
  if (got !== want) throw new Error(`${what} is ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// Raw is a socket that sends what it is told to, right or wrong.
class Raw {
  static async open(protocols = ['graphql-transport-ws']) {
    const raw = new Raw();
    raw.messages = [];
    raw.waiting = [];
    raw.socket = new WebSocket(wsURL, protocols);
    raw.closed = new Promise((resolve) => raw.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
    raw.socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      if (message.type === 'ping') raw.socket.send('{"type":"pong"}');
      else if (raw.waiting.length > 0) raw.waiting.shift()(message);
      else raw.messages.push(message);
    });
    await within(
      new Promise((resolve, reject) => {
        raw.socket.on('open', resolve);
        raw.socket.on('error', reject);
      }),
      'open',
    );
    return raw;
  }
  static async ready() {
    const raw = await Raw.open();
    raw.init();
    expect((await raw.next()).type, 'connection_ack', 'answer to connection_init');
    return raw;
  }
  send(message) {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }
  init(token = options.token) {
    this.send({ type: 'connection_init', payload: { Authorization: `Bearer ${token}` } });
  }
  next() {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), 'message');
  }
  async expectClose(code) {
    const event = await within(this.closed, `close ${code}`);
    expect(event.code, code, `close code (${event.reason})`);
    return event.reason;
  }
  async end() {
    this.socket.close(1000);
    await within(this.closed, 'normal closure');
  }
}

const typename = { query: '{ __typename }' };
const stream = { query: options.subscription };
const subscribe = (id, payload = typename) => ({ id, type: 'subscribe', payload });

// closes is a check that ends with a close code after some frames.
const closes = (code, frames, { ready = false, protocols } = {}) => async () => {
  const raw = ready ? await Raw.ready() : await Raw.open(protocols);
  for (const frame of frames) raw.send(frame);
  await raw.expectClose(code);
};

function client(extra = {}) {
  return createClient({
    url: wsURL,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    onNonLazyError: () => {}, // the check reports it
    connectionParams: { Authorization: `Bearer ${options.token}` },
    ...extra,
  });
}

async function run(c, payload) {
  const results = [];
  const iterate = (async () => {
    for await (const result of c.iterate(payload)) results.push(result);
  })();
  await within(iterate, 'operation');
  return results;
}

async function closeCodeOf(extra) {
  const c = client(extra);
  try {
    await run(c, typename);
  } catch (event) {
    return event.code;
  } finally {
    await c.dispose();
  }
  throw new Error('the connection was accepted');
}

const rules = {
  'client: a query is answered once': async () => {
    const c = client();
    const results = await run(c, typename);
    expect(results.length, 1, 'number of results');
    expect(typeof results[0].data.__typename, 'string', 'type of data');
    await c.dispose();
  },
  'client: a mutation is answered once': async () => {
    const c = client();
    expect((await run(c, { query: 'mutation { __typename }' })).length, 1, 'number of results');
    await c.dispose();
  },
  'client: variables and operationName arrive': async () => {
    const c = client();
    const [result] = await run(c, {
      query: 'query A { a: __typename } query B($skip: Boolean!) { b: __typename @skip(if: $skip) c: __typename }',
      operationName: 'B',
      variables: { skip: true },
    });
    expect(Object.keys(result.data).join(), 'c', 'fields');
    await c.dispose();
  },
  'client: many operations share one socket': async () => {
    let sockets = 0;
    const c = client({ on: { connected: () => sockets++ } });
    const all = await Promise.all(Array.from({ length: 20 }, () => run(c, typename)));
    expect(all.every((results) => results.length === 1), true, 'every operation answered');
    expect(sockets, 1, 'number of sockets');
    await c.dispose();
  },
  'client: an invalid document is an error and the socket stays': async () => {
    const c = client({ lazy: false });
    let problem;
    await run(c, { query: '{ thisFieldDoesNotExist }' }).catch((err) => (problem = err));
    expect(Array.isArray(problem), true, 'error is a list');
    expect(typeof problem[0].message, 'string', 'type of message');
    expect((await run(c, typename)).length, 1, 'number of results afterwards');
    await c.dispose();
  },
  'client: a subscription can be left and its socket used again': async () => {
    const c = client({ lazy: false });
    for (let i = 0; i < 60; i++) { // more than may run at once
      const iterator = c.iterate(stream);
      iterator.next().catch(() => {});
      await run(c, typename);
      await iterator.return();
    }
    await c.dispose();
  },
  'client: its pings are answered': async () => {
    let done;
    const answered = new Promise((resolve) => (done = resolve));
    const c = client({ lazy: false, keepAlive: 50, on: { pong: (received) => received && done() } });
    await within(answered, 'pong');
    await c.dispose();
  },
  'client: a wrong token is 4403': async () =>
    expect(await closeCodeOf({ connectionParams: { Authorization: 'Bearer wrong' } }), 4403, 'close code'),
  'client: no token is 4403': async () => expect(await closeCodeOf({ connectionParams: {} }), 4403, 'close code'),
  'client: the key of the token may be in lower case': async () => {
    const c = client({ connectionParams: { authorization: `Bearer ${options.token}` } });
    expect((await run(c, typename)).length, 1, 'number of results');
    await c.dispose();
  },
  '4400: no JSON': closes(4400, ['nonsense']),
  '4400: an array': closes(4400, ['[]']),
  '4400: a string': closes(4400, ['"connection_init"']),
  '4400: no type': closes(4400, [{}]),
  '4400: a type that is no string': closes(4400, [{ type: 1 }]),
  '4400: an unknown type': closes(4400, [{ type: 'start', id: '1' }]),
  '4400: a type of the server': closes(4400, [{ type: 'next', id: '1', payload: {} }], { ready: true }),
  '4400: a binary frame': closes(4400, [Buffer.from('{"type":"ping"}')]),
  '4400: an init payload that is no object': closes(4400, [{ type: 'connection_init', payload: 'x' }]),
  '4400: subscribe without id': closes(4400, [{ type: 'subscribe', payload: typename }], { ready: true }),
  '4400: subscribe with an empty id': closes(4400, [subscribe('')], { ready: true }),
  '4400: subscribe without payload': closes(4400, [{ id: '1', type: 'subscribe' }], { ready: true }),
  '4400: subscribe without query': closes(4400, [subscribe('1', {})], { ready: true }),
  '4400: subscribe with a query that is no string': closes(4400, [subscribe('1', { query: 1 })], { ready: true }),
  '4400: subscribe with variables that are no object': closes(4400, [subscribe('1', { ...typename, variables: [] })], { ready: true }),
  '4400: complete without id': closes(4400, [{ type: 'complete' }], { ready: true }),
  '4401: subscribe before init': closes(4401, [subscribe('1')]),
  '4406: no subprotocol': closes(4406, [], { protocols: [] }),
  '4408: no init': closes(4408, []),
  '4409: an id in use': closes(4409, [subscribe('1', stream), subscribe('1')], { ready: true }),
  '4429: two inits at once': async () => {
    const raw = await Raw.open();
    raw.init();
    raw.init();
    await raw.expectClose(4429);
  },
  '4429: an init after the acknowledgement': async () => {
    const raw = await Raw.ready();
    raw.init();
    await raw.expectClose(4429);
  },
  '1009: a frame that is too long': closes(1009, [{ type: 'ping', payload: { a: 'x'.repeat(70_000) } }], { ready: true }),
  'ping: answered before init, with its payload': async () => {
    const raw = await Raw.open();
    raw.send({ type: 'ping', payload: { n: 1 } });
    const pong = await raw.next();
    expect(pong.type, 'pong', 'type');
    expect(pong.payload?.n, 1, 'payload');
    await raw.end();
  },
  'pong: may come unasked': async () => {
    const raw = await Raw.ready();
    raw.send({ type: 'pong' });
    raw.send(subscribe('1'));
    expect((await raw.next()).type, 'next', 'type');
    await raw.end();
  },
  'complete: of an unknown id is ignored': async () => {
    const raw = await Raw.ready();
    raw.send({ type: 'complete', id: 'unknown' });
    raw.send(subscribe('1'));
    expect((await raw.next()).type, 'next', 'type');
    expect((await raw.next()).type, 'complete', 'type');
    await raw.end();
  },
  'complete: frees the id': async () => {
    const raw = await Raw.ready();
    for (let i = 0; i < 3; i++) {
      raw.send(subscribe('1', stream));
      raw.send({ id: '1', type: 'complete' });
    }
    raw.send(subscribe('1'));
    const message = await raw.next();
    expect(`${message.id} ${message.type}`, '1 next', 'message');
    await raw.end();
  },
  'error: ends the operation without complete and frees the id': async () => {
    const raw = await Raw.ready();
    raw.send(subscribe('1', { query: '{' }));
    const message = await raw.next();
    expect(message.type, 'error', 'type');
    expect(Array.isArray(message.payload), true, 'payload is a list');
    raw.send(subscribe('1'));
    expect((await raw.next()).type, 'next', 'type of the next message');
    await raw.end();
  },
};

async function auditSockets() {
  const results = [];
  for (const [name, rule] of Object.entries(rules)) {
    try {
      await rule();
      results.push({ name });
    } catch (err) {
      results.push({ name, problem: err.code ? `closed with ${err.code} ${err.reason}` : (err.message ?? JSON.stringify(err)) });
    }
  }
  report('graphql-transport-ws', results);
}

if (options.only !== 'ws') await auditHTTP();
if (options.only !== 'http') await auditSockets();
process.exit(failed > 0 ? 1 : 0);

// Starts a demo server in a folder of its own, runs the suites of run.mjs against
// it and stops it. `make conformance` calls this.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const folder = mkdtempSync(join(tmpdir(), 'switchboard-conformance-'));
chmodSync(folder, 0o755); // PostgreSQL runs as another user when we are root
const server = spawn(process.argv[2] ?? '../switchboard', ['dev', '--json'], {
  env: { ...process.env, DATA_DIR: folder, PORT: '0', DATABASE_URL: '' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const ended = new Promise((done) => server.on('exit', done));
const ready = await Promise.race([
  new Promise((line) => createInterface({ input: server.stdout }).once('line', line)),
  ended.then(() => null),
]);
let code = 1;
if (ready) {
  const { graphqlUrl, accessToken } = JSON.parse(ready);
  const suite = spawn(process.execPath, ['run.mjs', '--url', graphqlUrl, '--token', accessToken], { stdio: 'inherit' });
  code = await new Promise((done) => suite.on('exit', done));
} else {
  console.error('the server did not start');
}
server.kill('SIGTERM');
await ended;
rmSync(folder, { recursive: true, force: true });
process.exit(code);

/**
 * `npm start`: everything from a fresh clone to a running server. Installs and builds where that is due, makes a
 * configuration for this machine at the first run, and runs the server in the foreground. Options go to the server:
 * `npm start -- -v`. Plain JavaScript that an old Node understands, and nothing but Node's own modules.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { get } from 'node:http';
import { join, relative } from 'node:path';
import { isBuilt } from '../bin/launch.js';
import { install, isInstalled } from './install.js';
import { become, isNewEnough, nodePath, root } from './runtime.js';

const LOOK_EVERY_MS = 200;

const args = process.argv.slice(2);
const hasOwnConfig = args.some((arg) => /^(?:-c|--config-path|--generate-config|-h|--help|-V|--version)/.test(arg));
const data = join(root, 'data');
const config = join(data, 'homeserver.yaml');
const shownConfig = relative(process.cwd(), config) || config;
const myelin = join(root, 'bin', 'myelin.js');

/** Runs a script of ours to its end; ends the process where that fails. */
function run(script, ...rest) {
  const { status, stdout, stderr } = spawnSync(nodePath(), [script, ...rest], { cwd: root, encoding: 'utf8' });
  if (status === 0) return;
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exit(status ?? 1);
}

if (!isInstalled()) install();
try {
  nodePath();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
if (!isNewEnough) console.log(`Running under the packaged Node: this machine's is ${process.version}.`);
if (!isBuilt(join(root, 'dist', 'myelin.js'))) {
  console.log('Building.');
  run(join(root, 'scripts', 'build.js'));
}
if (!hasOwnConfig && !existsSync(config)) {
  mkdirSync(data, { recursive: true });
  run(
    myelin,
    '--generate-config',
    '--server-name=localhost',
    `--config-path=${config}`,
    `--data-directory=${data}`,
    '--report-stats=no',
    '--loopback-only',
  );
  console.log(`Made a configuration for this machine: ${shownConfig}`);
}

/** Whether a server answers here. */
function isAnswering() {
  return new Promise((resolve) => {
    const request = get('http://localhost:8008/_matrix/client/versions', (reply) => {
      reply.resume();
      resolve(true);
    });
    request.on('error', () => resolve(false));
  });
}

/** Says where the server is, at its first answer. */
async function announce() {
  if (!(await isAnswering())) {
    setTimeout(announce, LOOK_EVERY_MS).unref();
    return;
  }
  console.log(`
Myelin is ready.

    For Matrix clients    http://localhost:8008/ and https://localhost:8448/ (self-signed)
    Make a first user     npx register_new_matrix_user -c ${shownConfig}
    Configuration         ${shownConfig}
    Stop                  Ctrl-C
`);
}

// Another server on our port would be announced as ours.
const isPortTaken = !hasOwnConfig && (await isAnswering());
console.log('Starting.');
become(nodePath(), [myelin, ...(hasOwnConfig ? [] : ['-c', config]), ...args]);
if (!hasOwnConfig && !isPortTaken) announce();

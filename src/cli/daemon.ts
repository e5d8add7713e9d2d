/** Detaching: a child runs on, the parent ends with 0 only once the child serves. */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { logSettingsFrom } from '../config/log-config.ts';
import { Failure } from './failure.ts';
import { runningPid } from './pid-file.ts';

/** Set in the environment of the child that runs on. */
const CHILD_MARK = 'MYELIN_DAEMON';
const READY_TIMEOUT_MS = 600_000;

/** What the child tells its parent, once. */
type Tidings = { readonly ready: true } | { readonly failed: string };

/** Whether this process is the one that runs on. */
export function isDaemonChild(): boolean {
  return process.env[CHILD_MARK] === '1';
}

/** Where a detached server logs when its configuration names no file. */
export const DAEMON_LOG = 'homeserver.log';

/**
 * Starts this very command again, detached, and waits until it serves.
 *
 * @throws Failure where one runs already, and where the child ends instead
 */
export async function daemonize(config: Config, options: { pidFile: string; redirectsStdio: boolean }): Promise<void> {
  const running = runningPid(options.pidFile);
  if (running !== null) throw new Failure(`A server is running already (process ${running}, ${options.pidFile}).`);
  const output = options.redirectsStdio ? openOutput(config) : 'inherit';
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...process.env, [CHILD_MARK]: '1' },
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Failure('The server is still not ready; see its log.')),
      READY_TIMEOUT_MS,
    );
    child.once('message', (message) => {
      clearTimeout(timer);
      // Our own child's.
      const tidings = message as Tidings;
      if ('ready' in tidings) resolve();
      else reject(new Failure(tidings.failed));
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      reject(new Failure(`The server ended at its start (${signal ?? `exit code ${code}`}); see its log.`));
    });
  });
  child.disconnect();
  child.unref();
}

/** Tells the parent how the start went; nothing where there is none. */
export async function tellParent(tidings: Tidings): Promise<void> {
  if (process.send === undefined || !process.connected) return;
  await new Promise<void>((resolve) => {
    process.send?.(tidings, undefined, undefined, () => resolve());
  });
  process.disconnect();
}

/** Stray output, such as Node's last words, goes where the log goes. */
function openOutput(config: Config): number {
  const { logConfigPath, logFile, verbosity } = config.logging;
  const { settings } = logSettingsFrom({ logConfigPath, logFile: logFile ?? DAEMON_LOG, verbosity, isDetached: true });
  const sink = settings.destinations.map((one) => one.sink).find((one) => one.to === 'file');
  const path = sink?.to === 'file' ? sink.path : DAEMON_LOG;
  mkdirSync(dirname(path), { recursive: true });
  return openSync(path, 'a', 0o640);
}

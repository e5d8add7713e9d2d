/** The command `synctl`: starts, stops and restarts a server that runs in the background. */
import { spawn } from 'node:child_process';
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { type LoadedConfig, loadConfig } from '../config/config.ts';
import { parseServerName } from '../core/ids.ts';
import { VERSION } from '../main/version.ts';
import { Failure, runCommand } from './failure.ts';
import { isAlive, runningPid } from './pid-file.ts';
import { colored, complain, isInteractive, Prompt, say } from './terminal.ts';

const STOP_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 50;

type Flags = { worker?: string; allProcesses?: string; daemonize: boolean };

/** Runs the command. Failures are printed and set the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  const program = new Command('synctl')
    .description('Starts, stops and restarts the homeserver in the background.')
    .version(VERSION, '-V, --version')
    .argument('<action>', 'start, stop or restart')
    .argument('[config]', 'configuration file, or a directory of *.yaml files', 'homeserver.yaml')
    .option('--no-daemonize', 'start: stay in the foreground')
    .option('-w, --worker <file>', 'accepted from old scripts: one process does all the work')
    .option('-a, --all-processes <directory>', 'accepted from old scripts: one process does all the work')
    .showHelpAfterError()
    .action(control);
  await runCommand(async () => {
    await program.parseAsync([...args], { from: 'user' });
  });
}

async function control(action: string, path: string, flags: Flags): Promise<void> {
  if (!['start', 'stop', 'restart'].includes(action)) {
    throw new Failure(`There is no action "${action}"; it is start, stop or restart.`, 2);
  }
  if (flags.worker !== undefined || flags.allProcesses !== undefined) {
    complain('Worker files are not needed: one process does all the work.');
    // A single worker of Synapse's has no process here that could be stopped.
    if (flags.worker !== undefined) return;
  }
  let isNew = false;
  if (!existsSync(path)) {
    if (action !== 'start' || !isInteractive()) throw new Failure(howToGenerate(path));
    isNew = await guide(path);
  }
  const loaded = loadConfig([path]);
  for (const warning of loaded.warnings) complain(warning);
  const pidFile = loaded.config.server.pidFile ?? 'homeserver.pid';
  if (action !== 'start') await stop(pidFile, path);
  if (action !== 'stop') await start(loaded, pidFile, path, flags.daemonize);
  if (isNew) await offerFirstUser(path);
}

function howToGenerate(path: string): string {
  return (
    `There is no ${path}. To make a configuration and its keys, run:\n\n` +
    `    myelin --server-name my.domain.name --config-path ${path} --generate-config --report-stats=no\n\n` +
    'with the domain that stands in user IDs after the colon, as in @alice:my.domain.name.'
  );
}

async function start(loaded: LoadedConfig, pidFile: string, path: string, isDaemon: boolean): Promise<void> {
  const running = runningPid(pidFile);
  if (running !== null) {
    say(colored(`The server is already running (process ${running}, ${path}).`, 'yellow'));
    return;
  }
  const code = await run(['-c', path, ...(isDaemon ? ['--daemonize'] : [])]);
  if (code !== 0) throw new Failure(colored(`error starting (exit code ${code})`, 'red', process.stderr), code);
  if (!isDaemon) return;
  say(`${colored('started', 'green')} ${loaded.config.server.serverName} (${path})`);
}

async function stop(pidFile: string, path: string): Promise<void> {
  const pid = runningPid(pidFile);
  if (pid === null) {
    say(colored(`The server is not running (${path}).`, 'yellow'));
    if (existsSync(pidFile)) rmSync(pidFile);
    return;
  }
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    const isForbidden = error instanceof Error && 'code' in error && error.code === 'EPERM';
    if (isForbidden) throw new Failure(`The server belongs to another user (process ${pid}): it cannot be stopped.`);
  }
  for (let waitedMs = 0; isAlive(pid); waitedMs += LOOK_EVERY_MS) {
    if (waitedMs > STOP_TIMEOUT_MS) throw new Failure(`The server does not end (process ${pid}); see its log.`);
    await sleep(LOOK_EVERY_MS);
  }
  say(`${colored('stopped', 'green')} ${path}`);
}

/** Runs `myelin`, with the same Node and at the same terminal. */
async function run(args: readonly string[], command = 'myelin'): Promise<number> {
  // The launcher of this very command lies beside those of the others; on the PATH there is a link to it.
  const launcher = join(dirname(realpathSync(process.argv[1] ?? '')), `${command}.js`);
  const child = spawn(process.execPath, [launcher, ...args], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** Asks what a first configuration needs. True once it is there. */
async function guide(path: string): Promise<boolean> {
  const prompt = new Prompt();
  let serverName: string | null = null;
  try {
    say(`There is no ${path} yet. Let us make one; Ctrl-C leaves everything as it is.`);
    say('');
    say('The server name is the domain in user IDs, as in @alice:example.org. It cannot be changed later.');
    say('To try things out on this machine only, use localhost.');
    while (serverName === null) {
      const answer = await prompt.ask('Server name [localhost]: ');
      if (answer === null) throw new Failure(howToGenerate(path));
      serverName = parseServerName(answer.trim() || 'localhost');
      if (serverName === null) say('That is no server name; it is a host name such as example.org.');
    }
  } finally {
    prompt.close();
  }
  const local = serverName.split(':')[0] === 'localhost' ? ['--loopback-only'] : [];
  const code = await run([
    '--generate-config',
    '--server-name',
    serverName,
    '--config-path',
    path,
    '--report-stats=no',
    ...local,
  ]);
  if (code !== 0) throw new Failure('No configuration was made.', code);
  say('');
  return true;
}

async function offerFirstUser(path: string): Promise<void> {
  const prompt = new Prompt();
  const answer = await prompt.ask('Make a first user, an admin, now? [yes]: ');
  prompt.close();
  if (/^n/i.test(answer?.trim() ?? 'no')) return;
  const code = await run(['-c', path, '--admin'], 'register_new_matrix_user');
  if (code !== 0) say(`Try again with: register_new_matrix_user -c ${path}`);
}

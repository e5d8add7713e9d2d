/** Runs the server in this process, from its start to the signal that ends it. */
import { execFile } from 'node:child_process';
import type { Config, LoadedConfig } from '../config/config.ts';
import { logSettingsFrom } from '../config/log-config.ts';
import { type LogRoot, type LogSettings, openLog } from '../kit/log.ts';
import { VERSION } from '../main/version.ts';
import { DAEMON_LOG, isDaemonChild, tellParent } from './daemon.ts';
import { explain, Failure } from './failure.ts';
import { removePidFile, runningPid, writePidFile } from './pid-file.ts';
import { complain } from './terminal.ts';

const CLOSE_TIMEOUT_MS = 4500;
const SAME_WISH_MS = 1000;

export type RunOptions = {
  readonly configPaths: readonly string[];
  /** Written while the server runs; null in the foreground. */
  readonly pidFile: string | null;
  /** Reads the configuration again, for the signal HUP. */
  loadAgain(): LoadedConfig;
};

/**
 * Starts the server and returns once it serves; signals end it later, with exit code 0. What keeps it from starting is
 * told, and ends the process with 1.
 */
export async function runServer(loaded: LoadedConfig, options: RunOptions): Promise<void> {
  // The database and the media are nobody else's to read.
  process.umask(0o077);
  const { config } = loaded;
  const { settings, warnings } = logSettings(config);
  const root = openLog(settings);
  const log = root.log;
  log.debug('Starting.', { version: VERSION, node: process.version, files: loaded.files });
  for (const line of loaded.notes) log.info(line);
  for (const line of [...loaded.warnings, ...warnings]) log.warn(line);
  process.on('uncaughtException', (error) => {
    log.error('A bug: an error that nobody caught. The server ends.', { error });
    process.exit(1);
  });

  // Threads of the storage do not keep a process alive by themselves; before the first socket nothing else does.
  const awake = setInterval(() => {}, 60_000);
  let isPidFileOurs = false;
  try {
    if (options.pidFile !== null) {
      const other = runningPid(options.pidFile);
      if (other !== null && other !== process.pid) {
        throw new Failure(`A server is running already (process ${other}, ${options.pidFile}).`);
      }
      writePidFile(options.pidFile);
      isPidFileOurs = true;
    }
    const { serve } = await import('../main/serve.ts');
    const running = await serve({ config, log, configPaths: options.configPaths });
    listenToSignals({ root, options, running });
    log.info(`Ready: ${config.server.serverName} at ${running.addresses.map((one) => one.url).join(', ')}`);
    notifySystemd();
    await tellParent({ ready: true });
  } catch (error) {
    if (isPidFileOurs && options.pidFile !== null) removePidFile(options.pidFile);
    const message = explain(error);
    // A bug's stack is for the log to print; what admins can mend is a sentence.
    if (message.includes('\n    at ')) log.error('The server cannot start.', { error });
    else log.error(`The server cannot start. ${message}`);
    await tellParent({ failed: message });
    root.close();
    const isShown = !isDaemonChild() && settings.destinations.some((one) => one.sink.to !== 'file');
    if (!isShown) complain(message);
    // Whatever was opened before it went wrong must not keep the process.
    process.exit(1);
  } finally {
    clearInterval(awake);
  }
}

type Running = { close(): Promise<void>; reload(): void | Promise<void> };

function listenToSignals({ root, options, running }: { root: LogRoot; options: RunOptions; running: Running }): void {
  const { log } = root;
  let closingSinceMs: number | null = null;
  const close = async (signal: string): Promise<void> => {
    if (closingSinceMs !== null) {
      // Whoever asks twice does not want to wait. But Ctrl-C comes twice at once where a launcher passes it on.
      if (performance.now() - closingSinceMs > SAME_WISH_MS) end(0);
      return;
    }
    closingSinceMs = performance.now();
    log.info(`Closing (${signal}).`);
    const timer = setTimeout(() => {
      log.warn('Not all could be closed in time; ending anyway.');
      end(0);
    }, CLOSE_TIMEOUT_MS);
    try {
      await running.close();
      clearTimeout(timer);
      log.info('Closed.');
      end(0);
    } catch (error) {
      log.error('Closing went wrong.', { error });
      end(1);
    }
  };
  const end = (code: number): void => {
    if (options.pidFile !== null) removePidFile(options.pidFile);
    root.close();
    process.exit(code);
  };
  process.on('SIGTERM', () => void close('SIGTERM'));
  process.on('SIGINT', () => void close('SIGINT'));
  process.on('SIGHUP', () => void reload(root, options, running));
}

/** HUP: the log's configuration and the certificates are read again, log files opened anew. */
async function reload(root: LogRoot, options: RunOptions, running: Running): Promise<void> {
  const { log } = root;
  try {
    const { settings, warnings } = logSettings(options.loadAgain().config);
    root.reconfigure(settings);
    for (const line of warnings) log.warn(line);
    await running.reload();
    log.info('Reloaded: log configuration and certificates. Other changes wait for a restart.');
  } catch (error) {
    root.reopen();
    log.error('The reload failed; going on as before.', { error });
  }
}

function logSettings(config: Config): { settings: LogSettings; warnings: string[] } {
  const { logConfigPath, logFile, verbosity } = config.logging;
  const isDetached = isDaemonChild();
  const file = logFile ?? (isDetached ? DAEMON_LOG : null);
  const { settings, warnings } = logSettingsFrom({ logConfigPath, logFile: file, verbosity, isDetached });
  if (!isDetached || !settings.destinations.some((one) => one.sink.to === 'file')) return { settings, warnings };
  // Standard error lies in the log file already: lines for the terminal would be there twice.
  return {
    settings: { ...settings, destinations: settings.destinations.filter((one) => one.sink.to === 'file') },
    warnings,
  };
}

/** Tells systemd that a service of type "notify" is up. */
function notifySystemd(): void {
  if (!process.env['NOTIFY_SOCKET']) return;
  execFile('systemd-notify', ['--ready', `--pid=${process.pid}`], () => {
    // Where the tool is missing systemd's own timeout will say so.
  });
}

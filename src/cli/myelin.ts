/** The command `myelin`: the homeserver with the flags that admins know, and helpers as subcommands. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../config/config.ts';
import { parseServerName } from '../core/ids.ts';
import { VERSION } from '../main/version.ts';
import { checkConfig, readConfigKey } from './config-command.ts';
import { Failure, runCommand } from './failure.ts';
import { generateConfig, generateMissing } from './generate.ts';
import { filesOf, type GenerateOptions, portsOf } from './homeserver-yaml.ts';
import { colored, complain, say } from './terminal.ts';

/** What the flags of the main command say. */
export type ServerFlags = {
  configPath?: string[];
  serverName?: string;
  generateConfig?: boolean;
  reportStats?: boolean;
  generateKeys?: boolean;
  generateMissingConfigs?: boolean;
  keysDirectory?: string;
  configDirectory?: string;
  dataDirectory?: string;
  openPrivatePorts?: boolean;
  loopbackOnly?: boolean;
  enableRegistration?: boolean;
  enableMetrics?: boolean;
  /** False under `--no-secrets-in-config`. */
  secretsInConfig: boolean;
  daemonize?: boolean;
  printPidfile?: boolean;
  /** False under `-n`. */
  redirectStdio: boolean;
  verbose: number;
  logFile?: string;
  logConfig?: string;
  databasePath?: string;
  manhole?: string;
};

/** Runs the command. Failures are printed and set the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  await runCommand(async () => {
    await buildProgram().parseAsync([...args], { from: 'user' });
  });
}

function buildProgram(): Command {
  const program = new Command('myelin')
    .description('Myelin, a Matrix homeserver. Without a subcommand it runs the server that -c names.')
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showHelpAfterError('(myelin --help lists all flags)')
    .option('-c, --config-path <path>', 'configuration file, or a directory of *.yaml files; may be repeated', collect)
    .option('-D, --daemonize', 'detach once the server is ready')
    .option('-v, --verbose', 'log debug lines; twice: database statements too', (_, count: number) => count + 1, 0)
    .option('-n, --no-redirect-stdio', 'leave standard output and error as they are when detached')
    .option('-f, --log-file <path>', 'log to this file, where the configuration has no log_config')
    .option('--log-config <path>', 'log configuration, in place of log_config')
    .option('-d, --database-path <path>', 'SQLite database, in place of database; may be ":memory:"')
    .option('--enable-registration', 'let people register themselves')
    .option('--print-pidfile', 'print the path of the pid file before detaching')
    .option('--no-secrets-in-config', 'refuse secrets that stand in the configuration itself')
    .option('--generate-config', 'write a new configuration and its keys, then end; needs -H and -c')
    .option('-H, --server-name <name>', 'name of the server, for --generate-config')
    .addOption(new Option('--report-stats <yes|no>', 'send daily usage statistics (default: no)').argParser(yesOrNo))
    .option('--generate-missing-configs', 'write the keys and files that are missing, then end')
    .option('--generate-keys', 'the same, by its old name')
    .option('--generate-missing-and-run', 'write what is missing and run: the default')
    .option('--config-directory <path>', 'where --generate-config puts keys; default: beside the configuration')
    .option('--keys-directory <path>', 'the same, by its old name')
    .option('--data-directory <path>', 'where --generate-config puts data; default: the working directory')
    .option('--open-private-ports', '--generate-config: the plain listener answers to other machines too')
    .option('--loopback-only', '--generate-config: no listener answers to other machines')
    .option('--enable-metrics', '--generate-config: with figures for Prometheus')
    .addOption(new Option('--manhole <port>', 'accepted from old scripts, without effect').hideHelp())
    .action(runServerCommand);

  const config = program.command('config').description('look at a configuration');
  config
    .command('check')
    .description('say whether the configuration can be used')
    .requiredOption('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action((flags: { configPath: string[] }) => checkConfig(flags.configPath));
  config
    .command('read')
    .description('print the value of one key, such as server_name or presence.enabled')
    .argument('<key>', 'the key, dotted where it lies in a mapping')
    .requiredOption('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action((key: string, flags: { configPath: string[] }) => readConfigKey(key, flags.configPath));

  const keys = program.command('keys').description('the signing key');
  keys
    .command('export')
    .description('print the public half of the signing key')
    .option('--old', 'as an entry of old_signing_keys, expiring now')
    .requiredOption('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action(async (flags: { old?: boolean; configPath: string[] }) => {
      const { exportKeys } = await import('./keys-command.ts');
      exportKeys(flags.configPath, flags.old === true);
    });

  const stats = program.command('stats').description('how much the server holds');
  stats
    .command('show')
    .description('print the size of the database, users, rooms, events and forward extremities')
    .option('--json', 'as JSON')
    .requiredOption('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action(async (flags: { json?: boolean; configPath: string[] }) => {
      const { showStats } = await import('./stats-command.ts');
      await showStats(flags.configPath, flags.json === true);
    });

  const doctorCommand = program
    .command('doctor')
    .description('check this machine and the configuration, with a fix for each finding')
    .option('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action(async (flags: { configPath?: string[] }) => {
      const { doctor } = await import('./doctor.ts');
      await doctor(flags.configPath ?? []);
    });
  doctorCommand
    .command('federation <name>')
    .description('walk the way to another server step by step, with a fix for what is wrong')
    .option('-c, --config-path <path>', 'configuration file or directory; may be repeated', collect)
    .action(async (name: string, _flags: object, command: Command) => {
      const { doctorFederation } = await import('./doctor-federation.ts');
      await doctorFederation(name, command.optsWithGlobals<{ configPath?: string[] }>().configPath ?? []);
    });

  program
    .command('hash-password')
    .description('print the hash of a password, as the database keeps it')
    .option('-p, --password <password>', 'the password; asked for where left out')
    .option('-r, --rounds <number>', 'bcrypt rounds; default: those of the configuration, or 12')
    .option('-c, --config-path <path>', 'configuration with rounds and pepper; may be repeated', collect)
    .action(async (flags: { password?: string; rounds?: string; configPath?: string[] }) => {
      const { hashPassword } = await import('./hash-password.ts');
      await hashPassword(flags);
    });
  return program;
}

function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value];
}

function yesOrNo(value: string): boolean {
  if (/^(?:yes|true|y)$/i.test(value)) return true;
  if (/^(?:no|false|n)$/i.test(value)) return false;
  throw new InvalidArgumentError('It must be yes or no.');
}

async function runServerCommand(flags: ServerFlags, command: Command): Promise<void> {
  const [stranger] = command.args;
  if (stranger !== undefined) {
    throw new Failure(`There is no command "${stranger}"; myelin --help lists all. A configuration is named by -c.`, 2);
  }
  if (flags.generateConfig) {
    generate(flags);
    return;
  }
  const paths = flags.configPath ?? [];
  if (paths.length === 0) {
    throw new Failure(
      'Name a configuration with -c. To make one:\n\n' +
        '    myelin --generate-config --server-name my.domain.name -c homeserver.yaml --report-stats=no',
      2,
    );
  }
  if (paths.every((path) => !existsSync(path))) {
    throw new Failure(
      `There is no ${paths.join(', ')}. To make it:\n\n` +
        `    myelin --generate-config --server-name my.domain.name -c ${paths[0]} --report-stats=no`,
    );
  }
  const loaded = loadConfig(paths, loadOptions(flags));
  const made = generateMissing(loaded.config, defaultLogPath(flags));
  for (const path of made) say(`Made ${path}`);
  if (flags.generateKeys || flags.generateMissingConfigs) {
    if (made.length === 0) say('Nothing is missing.');
    for (const warning of loaded.warnings) complain(warning);
    return;
  }
  if (flags.manhole !== undefined) complain('--manhole has no effect: there is no debug shell.');
  await start(loaded, paths, flags);
}

async function start(loaded: LoadedConfig, paths: readonly string[], flags: ServerFlags): Promise<void> {
  const { server } = loaded.config;
  const { daemonize, isDaemonChild } = await import('./daemon.ts');
  const pidFile = server.pidFile ?? 'homeserver.pid';
  if (server.daemonize && !isDaemonChild()) {
    if (flags.printPidfile || server.printPidFile) say(resolve(pidFile));
    await daemonize(loaded.config, { pidFile, redirectsStdio: flags.redirectStdio });
    return;
  }
  const { runServer } = await import('./run-server.ts');
  await runServer(loaded, {
    configPaths: paths,
    pidFile: server.daemonize ? pidFile : null,
    loadAgain: () => loadConfig(paths, loadOptions(flags)),
  });
}

/** The flags as values of the configuration: they win over the files. */
function loadOptions(flags: ServerFlags): LoadOptions {
  const overrides: Record<string, unknown> = {};
  if (flags.databasePath !== undefined) {
    overrides['database'] = { name: 'sqlite3', args: { database: flags.databasePath } };
  }
  if (flags.logFile !== undefined) overrides['log_file'] = flags.logFile;
  if (flags.logConfig !== undefined) overrides['log_config'] = flags.logConfig;
  if (flags.verbose > 0) overrides['verbose'] = Math.min(flags.verbose, 2);
  if (flags.daemonize) overrides['daemonize'] = true;
  if (flags.enableRegistration) {
    overrides['enable_registration'] = true;
    overrides['enable_registration_without_verification'] = true;
  }
  return { overrides, allowsInlineSecrets: flags.secretsInConfig };
}

function defaultLogPath(flags: ServerFlags): string {
  return join(resolve(flags.dataDirectory ?? '.'), 'homeserver.log');
}

/** `--generate-config`: writes what is missing, says what it did and what comes next. */
function generate(flags: ServerFlags): void {
  const paths = flags.configPath ?? [];
  const path = paths.at(-1);
  if (path === undefined) throw new Failure('Say with -c where the configuration goes, as in -c homeserver.yaml.', 2);
  if (!existsSync(path)) {
    if (flags.serverName === undefined) {
      throw new Failure('Say with --server-name how the server is called: the part of user IDs after the colon.');
    }
    const serverName = parseServerName(flags.serverName);
    if (serverName === null) {
      throw new Failure(`"${flags.serverName}" is no server name; it is a host name with an optional port.`);
    }
    const directory = flags.configDirectory ?? flags.keysDirectory ?? dirname(path);
    const options: GenerateOptions = {
      serverName,
      reportStats: flags.reportStats ?? false,
      configDirectory: resolve(directory),
      dataDirectory: resolve(flags.dataDirectory ?? '.'),
      opensPrivatePorts: flags.openPrivatePorts === true,
      isLoopbackOnly: flags.loopbackOnly === true,
      enablesRegistration: flags.enableRegistration === true,
      enablesMetrics: flags.enableMetrics === true,
      keepsSecretsApart: !flags.secretsInConfig,
    };
    const made = generateConfig(path, options);
    made.push(...generateMissing(loadConfig(paths, loadOptions(flags)).config, filesOf(options).log));
    for (const one of made) say(`Made ${one}`);
    if (flags.reportStats === undefined)
      say('No usage statistics will be sent; --report-stats=yes would turn that on.');
    sayNextSteps(path, serverName);
    return;
  }
  say(`${path} exists already; it is left as it is.`);
  const { config } = loadConfig(paths, loadOptions(flags));
  const made = generateMissing(config, defaultLogPath(flags));
  for (const one of made) say(`Made ${one}`);
  if (made.length === 0) say('Its keys are all there too.');
  if (flags.serverName !== undefined && flags.serverName !== config.server.serverName) {
    complain(
      colored(`Mind: it is for ${config.server.serverName}, not ${flags.serverName}.`, 'yellow', process.stderr),
    );
  }
}

function sayNextSteps(path: string, serverName: string): void {
  const ports = portsOf(serverName);
  const config = isAbsolute(path) || path !== 'homeserver.yaml' ? ` ${path}` : '';
  say('');
  say('Back up the signing key: it is how other servers know this one.');
  say(`Start:           synctl start${config}`);
  say(`Make a user:     register_new_matrix_user -c ${path} https://localhost:${ports.tls}`);
}

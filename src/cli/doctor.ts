/** `myelin doctor`: looks at the machine and the configuration, and says how to mend what it finds. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, resolve } from 'node:path';
import { type Config, loadConfig } from '../config/config.ts';
import { systemClock } from '../kit/clock.ts';
import { explain } from './failure.ts';
import { type Finding, tell } from './finding.ts';
import { runningPid } from './pid-file.ts';

const OPEN_FILES_MIN = 4096;
const FREE_BYTES_MIN = 1024 ** 3;
const CERTIFICATE_DAYS_MIN = 14;
const DAY_MS = 86_400_000;

/** Prints all findings. The exit code is 1 where something keeps a server from running. */
export async function doctor(paths: readonly string[]): Promise<void> {
  const findings = [nodeVersion(), ...(await nativeModules()), clock(), openFiles()];
  if (paths.length === 0) {
    findings.push({ what: 'no configuration looked at', standing: 'poor', fix: 'name one with -c.' });
  } else {
    try {
      const { config, warnings } = loadConfig(paths);
      findings.push(
        warnings.length === 0
          ? { what: 'the configuration can be used', standing: 'good' }
          : {
              what: `the configuration has ${warnings.length} warnings`,
              standing: 'poor',
              fix: 'see myelin config check.',
            },
      );
      findings.push(...writablePaths(config), ...certificate(config), ...(await ports(config)));
    } catch (error) {
      findings.push({ what: explain(error), standing: 'bad', fix: 'correct these lines.' });
    }
  }
  for (const finding of findings) tell(finding);
  if (findings.some((one) => one.standing === 'bad')) process.exitCode = 1;
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNewEnough = major > 22 || (major === 22 && minor >= 19);
  const what = `Node ${process.versions.node} at ${process.execPath}`;
  return isNewEnough ? { what, standing: 'good' } : { what, standing: 'bad', fix: 'install Node 24 (nodejs.org).' };
}

async function nativeModules(): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of ['better-sqlite3', '@node-rs/bcrypt', '@node-rs/argon2', 'sodium-native']) {
    try {
      await import(name);
      findings.push({ what: `native module ${name} loads`, standing: 'good' });
    } catch (error) {
      const [line] = explain(error).split('\n');
      findings.push({
        what: `native module ${name} does not load: ${line}`,
        standing: 'bad',
        fix: 'run npm ci again on this machine.',
      });
    }
  }
  return findings;
}

function clock(): Finding {
  const now = new Date(systemClock().now());
  const what = `the clock says ${now.toISOString()}`;
  if (now.getUTCFullYear() < 2026) return { what, standing: 'bad', fix: 'set the clock: timedatectl set-ntp true.' };
  try {
    const answer = execFileSync('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    if (answer === 'no')
      return { what: `${what} and is not kept in step`, standing: 'poor', fix: 'timedatectl set-ntp true.' };
  } catch {
    // No systemd here: whoever runs the machine keeps its clock.
  }
  return { what, standing: 'good' };
}

function openFiles(): Finding {
  let limit = Number.POSITIVE_INFINITY;
  try {
    const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[2];
    limit = found === undefined || found === 'unlimited' ? limit : Number(found);
  } catch {
    return { what: 'the limit of open files cannot be read here', standing: 'good' };
  }
  const what = `up to ${limit} open files`;
  return limit >= OPEN_FILES_MIN
    ? { what, standing: 'good' }
    : { what, standing: 'poor', fix: 'ulimit -n 65536, or LimitNOFILE in the unit.' };
}

function writablePaths(config: Config): Finding[] {
  const directories = new Set([config.media.storePath, config.keys.signingKeyPath].map((path) => existingParent(path)));
  if (config.database.engine === 'sqlite' && config.database.path !== ':memory:') {
    directories.add(existingParent(config.database.path));
  }
  return [...directories].map((directory) => {
    try {
      accessSync(directory, constants.W_OK);
    } catch {
      return { what: `${directory} may not be written`, standing: 'bad', fix: `chown it to the user of the server.` };
    }
    const { bavail, bsize } = statfsSync(directory);
    const freeBytes = bavail * bsize;
    const what = `${directory} may be written, ${(freeBytes / 1024 ** 3).toFixed(1)} GiB free`;
    return freeBytes >= FREE_BYTES_MIN ? { what, standing: 'good' } : { what, standing: 'poor', fix: 'make room.' };
  });
}

/** The nearest directory above a path that exists. */
function existingParent(path: string): string {
  let at = dirname(resolve(path));
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return at;
}

function certificate(config: Config): Finding[] {
  const { certificatePath } = config.tls;
  if (certificatePath === null || !config.listeners.some((one) => one.tls)) return [];
  try {
    const found = new X509Certificate(readFileSync(certificatePath));
    const days = Math.floor((found.validToDate.getTime() - systemClock().now()) / DAY_MS);
    const what = `the certificate is valid for ${days} more days`;
    if (days < 0) return [{ what: 'the certificate has expired', standing: 'bad', fix: 'renew it and send HUP.' }];
    if (days < CERTIFICATE_DAYS_MIN) return [{ what, standing: 'poor', fix: 'renew it and send HUP.' }];
    if (found.issuer === found.subject) {
      return [
        {
          what: 'the certificate is self-signed: other servers refuse it',
          standing: 'poor',
          fix: 'get one, such as from Let’s Encrypt.',
        },
      ];
    }
    return [{ what, standing: 'good' }];
  } catch (error) {
    return [
      {
        what: `the certificate cannot be read: ${explain(error).split('\n')[0]}`,
        standing: 'bad',
        fix: '--generate-keys makes a self-signed one.',
      },
    ];
  }
}

async function ports(config: Config): Promise<Finding[]> {
  const running = runningPid(config.server.pidFile ?? 'homeserver.pid');
  if (running !== null)
    return [{ what: `the server runs (process ${running}), so its ports are taken`, standing: 'good' }];
  const findings: Finding[] = [];
  for (const { port } of config.listeners) {
    if (port === null || port === 0) continue;
    const fault = await listenFault(port);
    if (fault === null) findings.push({ what: `port ${port} is free`, standing: 'good' });
    else if (fault === 'EACCES')
      findings.push({ what: `port ${port} is for root only`, standing: 'bad', fix: 'take one above 1023.' });
    else
      findings.push({
        what: `port ${port} is in use (${fault})`,
        standing: 'bad',
        fix: `see who: ss -ltnp 'sport = :${port}'`,
      });
  }
  return findings;
}

/** The error code with which listening on a port fails, or null. */
async function listenFault(port: number): Promise<string | null> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error) => done('code' in error ? String(error.code) : error.message));
    server.listen({ port, exclusive: true }, () => server.close(() => done(null)));
  });
}

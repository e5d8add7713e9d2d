/** Makes the files of a new server: configuration, signing key, certificate, log configuration. Never overwrites. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { splitServerName } from '../core/ids.ts';
import { formatSigningKey } from '../core/signing.ts';
import { systemClock } from '../kit/clock.ts';
import { systemRandom } from '../kit/random.ts';
import { makeSelfSigned } from '../kit/self-signed.ts';
import { filesOf, type GenerateOptions, homeserverYaml, logConfigYaml } from './homeserver-yaml.ts';

const CERTIFICATE_DAYS = 3652;
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o640;

/** Writes a file that must not be there yet. */
function writeNew(path: string, content: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { mode, flag: 'wx' });
}

/** Writes homeserver.yaml and, where apart, its secrets. */
export function generateConfig(path: string, options: GenerateOptions): string[] {
  const random = systemRandom();
  const made = [path];
  writeNew(path, homeserverYaml(options, random), PRIVATE_MODE);
  if (options.keepsSecretsApart) {
    const files = filesOf(options);
    for (const secret of [files.sharedSecret, files.macaroonSecret, files.formSecret]) {
      if (existsSync(secret)) continue;
      writeNew(secret, `${random.text(50)}\n`, PRIVATE_MODE);
      made.push(secret);
    }
  }
  return made;
}

/**
 * Makes the files that a configuration names and that are missing: the signing key, the certificate with its key, the
 * log configuration.
 *
 * @returns the paths of the files made
 */
export function generateMissing(config: Config, logPath: string): string[] {
  const made: string[] = [];
  const { signingKeyPath } = config.keys;
  if (!existsSync(signingKeyPath)) {
    const random = systemRandom();
    writeNew(signingKeyPath, `${formatSigningKey(`a_${random.text(4)}`, random.bytes(32))}\n`, PRIVATE_MODE);
    made.push(signingKeyPath);
  }
  const { certificatePath, privateKeyPath } = config.tls;
  // A lone half belongs to somebody's certificate: it must not be paired with a foreign one.
  if (certificatePath && privateKeyPath && !existsSync(certificatePath) && !existsSync(privateKeyPath)) {
    const host = (splitServerName(config.server.serverName)?.host ?? 'localhost').replace(/^\[|\]$/g, '');
    const { certificatePem, privateKeyPem } = makeSelfSigned(host, {
      nowMs: systemClock().now(),
      validDays: CERTIFICATE_DAYS,
      random: systemRandom(),
    });
    writeNew(privateKeyPath, privateKeyPem, PRIVATE_MODE);
    writeNew(certificatePath, certificatePem, PUBLIC_MODE);
    made.push(certificatePath, privateKeyPath);
  }
  const { logConfigPath } = config.logging;
  if (logConfigPath !== null && !existsSync(logConfigPath)) {
    writeNew(logConfigPath, logConfigYaml(logPath), PUBLIC_MODE);
    made.push(logConfigPath);
  }
  return made;
}

/** Makes a self-signed certificate: enough of X.509 (RFC 5280) in DER for one host name and one EC key. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { isIP } from 'node:net';
import type { Random } from './random.ts';

const DAY_MS = 86_400_000;
const COMMON_NAME_LENGTH_MAX = 64;

const OID = {
  ecdsaWithSha256: [1, 2, 840, 10045, 4, 3, 2],
  commonName: [2, 5, 4, 3],
  subjectAltName: [2, 5, 29, 17],
  basicConstraints: [2, 5, 29, 19],
  extendedKeyUsage: [2, 5, 29, 37],
  serverAuth: [1, 3, 6, 1, 5, 5, 7, 3, 1],
} as const;

/** A tag, the length and the content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const lengthBytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) lengthBytes.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | lengthBytes.length, ...lengthBytes]), content]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const octets = (...parts: readonly Uint8Array[]): Buffer => der(0x04, ...parts);

function objectId(arcs: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = arcs;
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  // From 2050 on a date needs its century.
  const isGeneralized = Number(digits.slice(0, 4)) >= 2050;
  return der(isGeneralized ? 0x18 : 0x17, Buffer.from(isGeneralized ? digits : digits.slice(2)));
}

/** The bytes of an IP address, for its entry among the alternative names. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export type SelfSigned = { readonly certificatePem: string; readonly privateKeyPem: string };

/**
 * Makes an EC key (P-256) and a certificate for it. The host, a DNS name or an IP address without brackets, is both
 * its common name and its only alternative name. Valid from a day ago, for clocks that are behind.
 */
export function makeSelfSigned(
  host: string,
  options: { nowMs: number; validDays: number; random: Random },
): SelfSigned {
  const { nowMs, validDays, random } = options;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serial = random.bytes(16);
  // A serial number is positive, and its first byte is not empty.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;

  const algorithm = sequence(objectId(OID.ecdsaWithSha256));
  const commonName = der(0x0c, Buffer.from(host.slice(0, COMMON_NAME_LENGTH_MAX)));
  const name = sequence(der(0x31, sequence(objectId(OID.commonName), commonName)));
  const altName = isIP(host) === 0 ? der(0x82, Buffer.from(host)) : der(0x87, addressBytes(host));
  const truth = der(0x01, Buffer.from([0xff]));
  const extensions = sequence(
    // An authority, so that it can be put among the trusted roots of a client.
    sequence(objectId(OID.basicConstraints), truth, octets(sequence(truth))),
    sequence(objectId(OID.extendedKeyUsage), octets(sequence(objectId(OID.serverAuth)))),
    sequence(objectId(OID.subjectAltName), octets(sequence(altName))),
  );
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(nowMs - DAY_MS), time(nowMs + validDays * DAY_MS)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    der(0xa3, extensions),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', toBeSigned, privateKey));
  return {
    certificatePem: pem('CERTIFICATE', sequence(toBeSigned, algorithm, signature)),
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

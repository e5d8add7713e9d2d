/** Chance, handed in through the door so that tests and simulations can replay it. */
import { randomFillSync } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export interface Random {
  bytes(sizeBytes: number): Buffer;
  /** Letters and digits, about 5.95 bits each. */
  text(length: number): string;
  /** An integer from 0 up to, but not including, `below`. */
  integer(below: number): number;
}

function randomFrom(bytes: (sizeBytes: number) => Buffer): Random {
  return {
    bytes,
    text(length): string {
      let out = '';
      while (out.length < length) {
        for (const byte of bytes(length + 8)) {
          // 248 is the largest multiple of 62 in a byte: what lies above would favor the first letters.
          if (byte < 248 && out.length < length) out += ALPHABET[byte % 62];
        }
      }
      return out;
    },
    integer: (below) => Math.floor((bytes(6).readUIntBE(0, 6) / 2 ** 48) * below),
  };
}

/** The operating system's random generator. */
export function systemRandom(): Random {
  return randomFrom((sizeBytes) => randomFillSync(Buffer.allocUnsafe(sizeBytes)));
}

/** A generator that gives the same from the same seed. For tests and simulations, never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return randomFrom((sizeBytes) => {
    const out = Buffer.allocUnsafe(sizeBytes);
    for (let index = 0; index < sizeBytes; index++) out[index] = next() & 0xff;
    return out;
  });
}

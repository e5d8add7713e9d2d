/** A name server on loopback that knows what a test tells it: SRV and address records, and nothing else. */
import { createSocket } from 'node:dgram';
import type { TestContext } from 'node:test';
import type { SrvRecord } from '../remote/resolver.ts';

export type DnsRecords = {
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  readonly a?: Readonly<Record<string, readonly string[]>>;
};

export type DnsServer = {
  /** `127.0.0.1:…`, as a resolver takes it. */
  readonly address: string;
  records: DnsRecords;
  /** It takes questions and says nothing. */
  isSilent: boolean;
  /** Names that were asked for, with the type: `SRV _matrix._tcp.example.org`. */
  readonly asked: string[];
};

const TYPE_A = 1;
const TYPE_SRV = 33;
const NAME_ERROR = 3;

/** Starts a name server that ends with the test. */
export async function dnsServer(t: Pick<TestContext, 'after'>, records: DnsRecords = {}): Promise<DnsServer> {
  const socket = createSocket('udp4');
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done));
  t.after(() => void socket.close());
  const server: DnsServer = { address: `127.0.0.1:${socket.address().port}`, records, isSilent: false, asked: [] };
  socket.on('message', (query, from) => {
    const { name, type, end } = questionOf(query);
    server.asked.push(`${type === TYPE_SRV ? 'SRV' : type === TYPE_A ? 'A' : `TYPE${type}`} ${name}`);
    if (server.isSilent) return;
    const answers = answersTo(server.records, name, type);
    const isKnown = answers.length > 0 || Object.hasOwn({ ...server.records.srv, ...server.records.a }, name);
    const head = Buffer.alloc(12);
    head.writeUInt16BE(query.readUInt16BE(0), 0);
    // A response, authoritative, recursion available.
    head.writeUInt16BE(0x8580 | (isKnown ? 0 : NAME_ERROR), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(answers.length, 6);
    socket.send(Buffer.concat([head, query.subarray(12, end), ...answers]), from.port, from.address);
  });
  return server;
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answersTo({ srv = {}, a = {} }: DnsRecords, name: string, type: number): Buffer[] {
  if (type === TYPE_SRV) {
    return (srv[name] ?? []).map(({ name: target, port, priority, weight }) => {
      const fixed = Buffer.alloc(6);
      fixed.writeUInt16BE(priority, 0);
      fixed.writeUInt16BE(weight, 2);
      fixed.writeUInt16BE(port, 4);
      return answer(type, Buffer.concat([fixed, encodeName(target)]));
    });
  }
  if (type !== TYPE_A) return [];
  return (a[name] ?? []).map((address) => answer(type, Buffer.from(address.split('.').map(Number))));
}

function answer(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name of the question, which stands at byte 12.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ]);
}

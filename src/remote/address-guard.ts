/** Which addresses outgoing connections may reach: those of strangers' machines, never those of our own network. */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** Private, loopback, link-local, documentation, multicast and other ranges that no public server lives in. */
export const INNER_RANGES: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '::1/128',
  '100::/64',
  '2001:db8::/32',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

/** These stand for this very machine: nobody lets them in by listing too little. */
const NOWHERE: readonly string[] = ['0.0.0.0/32', '::/128'];

/** Decides about addresses by two lists of ranges: an address is refused where it is blocked and not allowed again. */
export class AddressGuard {
  readonly #blocked: BlockList;
  readonly #allowed: BlockList;

  /** Ranges in CIDR form or single addresses; `blocked` null stands for `INNER_RANGES`. Throws on any other text. */
  constructor({ blocked, allowed }: { blocked: readonly string[] | null; allowed: readonly string[] }) {
    this.#blocked = listOf([...(blocked ?? INNER_RANGES), ...NOWHERE]);
    this.#allowed = listOf(allowed);
  }

  /** Whether a connection to an address, as a resolver gives it, may be made. False for what is no address. */
  mayReach(address: string): boolean {
    // A zone names an interface of this very machine: what lies there is never a stranger's.
    if (address.includes('%') || isIP(address) === 0) return false;
    const carried = isIPv4(address) ? null : carriedIpv4(address);
    if (carried !== null) return this.#mayReach(carried);
    return this.#mayReach(address);
  }

  #mayReach(address: string): boolean {
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    return this.#allowed.check(address, family) || !this.#blocked.check(address, family);
  }
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.trim().split('/');
    const isSound = isIP(address) !== 0 && rest.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    if (!isSound) throw new Error(`"${range}" is no range of addresses such as 10.0.0.0/8.`);
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** Groups of 16 bits of an IPv6 address. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text =
    dotted === null
      ? address
      : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`;
  const [head = '', tail] = text.split('::', 2);
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const first = read(head);
  if (tail === undefined) return first;
  const last = read(tail);
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

/**
 * The IPv4 address that an IPv6 address stands for, or null: IPv4-mapped, IPv4-compatible, translated (NAT64) and 6to4.
 * Each of them leads to that address from some networks, so it is judged as that address.
 */
function carriedIpv4(address: string): string | null {
  const groups = groupsOf(address);
  const text = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const last = text(groups[6]!, groups[7]!);
  const isZero = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  if (isZero(0, 5) && groups[5] === 0xffff) return last;
  if (isZero(0, 4) && groups[4] === 0xffff && groups[5] === 0) return last;
  if (isZero(0, 6) && (groups[6] !== 0 || groups[7]! > 1)) return last;
  if (groups[0] === 0x64 && groups[1] === 0xff9b) return last;
  if (groups[0] === 0x2002) return text(groups[1]!, groups[2]!);
  return null;
}

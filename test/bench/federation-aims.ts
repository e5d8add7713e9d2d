/** What rows between servers are to reach, and the reference figures of other servers (see docs/performance.md). */
import type { Aim } from './aims.ts';

const nobody = ['', '', ''] as const;

export const FEDERATION_AIMS = {
  'paced-sender': {
    id: 'paced-sender',
    title: 'a message across, 20 a second: who sends',
    cpuMs: 0.6,
    others: ['19 to 44', '16 to 32', ''],
  },
  'paced-receiver': {
    id: 'paced-receiver',
    title: 'the same: who receives',
    cpuMs: 1,
    p50Ms: 50,
    p95Ms: 200,
    others: ['41 to 61 (2 to 4 s)', '21 (p50 600 to 700)', ''],
  },
  'burst-sender': {
    id: 'burst-sender',
    title: 'a message across, 50 at once: who sends',
    cpuMs: 0.6,
    others: ['19 to 44', '16 to 32', ''],
  },
  'burst-receiver': {
    id: 'burst-receiver',
    title: 'the same, 50 at once: who receives',
    cpuMs: 1,
    p95Ms: 200,
    others: ['41 to 61', '21', ''],
  },
  'across-hold': {
    id: 'across-hold',
    title: 'event loop held at most, messages across',
    value: 50,
    unit: 'ms',
    others: nobody,
  },
  'received-pdu': {
    id: 'received-pdu',
    title: 'an event received, against parsing, hashing and verifying it',
    value: 3,
    unit: '×',
    others: nobody,
  },
  'join-2000': { id: 'join-2000', title: 'join of a room of 2,000 elsewhere', value: 2, unit: 's', others: nobody },
  'join-2000-usable': {
    id: 'join-2000-usable',
    title: 'until something is said there, 2,000',
    value: 1,
    unit: 's',
    others: nobody,
  },
  'join-2000-hold': {
    id: 'join-2000-hold',
    title: 'event loop held at most, 2,000',
    value: 50,
    unit: 'ms',
    others: nobody,
  },
  'join-20000': { id: 'join-20000', title: 'join of a room of 20,000 elsewhere', value: 15, unit: 's', others: nobody },
  'join-20000-usable': {
    id: 'join-20000-usable',
    title: 'until something is said there, 20,000',
    value: 1,
    unit: 's',
    others: nobody,
  },
  'join-20000-hold': {
    id: 'join-20000-hold',
    title: 'event loop held at most, 20,000',
    value: 50,
    unit: 'ms',
    others: nobody,
  },
  'join-20000-memory': {
    id: 'join-20000-memory',
    title: 'memory after it, 20,000',
    value: 400,
    unit: 'MB',
    others: nobody,
  },
  'join-linear': {
    id: 'join-linear',
    title: 'CPU a member, 20,000 against 2,000',
    value: 1.3,
    unit: '×',
    others: nobody,
  },
} as const satisfies Record<string, Aim>;

export type FederationAimId = keyof typeof FEDERATION_AIMS;

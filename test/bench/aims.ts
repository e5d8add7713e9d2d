/** What each row of the bench is to reach, and the reference figures of other servers (see docs/performance.md). */

export type Aim = {
  readonly id: string;
  readonly title: string;
  /** CPU milliseconds an operation on SQLite; on PostgreSQL twice as much is allowed. */
  readonly cpuMs?: number;
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  /** A number that is no time: bytes, megabytes, seconds or a ratio, as `unit` says. */
  readonly value?: number;
  readonly unit?: string;
  /** Synapse 1.163, Dendrite 0.15, Tuwunel 1.4. */
  readonly others: readonly [string, string, string];
};

export const AIMS = {
  'send-1': {
    id: 'send-1',
    title: 'send, 1 user, one at a time',
    cpuMs: 0.5,
    p50Ms: 3,
    others: ['29', '37', '4.6'],
  },
  'send-20-1': { id: 'send-20-1', title: 'send, 20 users, one room', cpuMs: 0.35, others: ['16', '22', '5.7'] },
  'send-20-20': { id: 'send-20-20', title: 'send, 20 users, 20 rooms', cpuMs: 0.35, others: ['20', '16', '1.1'] },
  delivery: {
    id: 'delivery',
    title: 'one delivery of 200 to waiting syncs',
    cpuMs: 0.15,
    p95Ms: 100,
    others: ['5.6 (p95 1152)', '7.3 (p95 1921)', '1.6 (p95 692)'],
  },
  presence: { id: 'presence', title: 'one presence of 200 to waiting syncs', cpuMs: 0.15, others: ['', '', ''] },
  receipt: { id: 'receipt', title: 'receipt in a room of 500', cpuMs: 0.5, others: ['', '', ''] },
  'initial-20': { id: 'initial-20', title: 'initial sync, 20 rooms', cpuMs: 8, others: ['133', '165', '42'] },
  'initial-100': { id: 'initial-100', title: 'initial sync, 100 rooms', cpuMs: 30, others: ['800', '405', '260'] },
  incremental: {
    id: 'incremental',
    title: 'incremental sync, nothing new',
    cpuMs: 0.12,
    others: ['2.0', '1.7', '3.0'],
  },
  create: { id: 'create', title: 'createRoom, public, name and topic', cpuMs: 4, others: ['101', '158', '14'] },
  'join-small': { id: 'join-small', title: 'join of a small room', cpuMs: 0.8, others: ['21', '29', '5'] },
  'join-big': {
    id: 'join-big',
    title: 'join, room growing to 2,000',
    cpuMs: 1,
    others: ['43', '96, growing', '13 to 32, growing'],
  },
  'join-growth': {
    id: 'join-growth',
    title: 'the same, last 100 against first 100',
    value: 1.3,
    unit: '×',
    others: ['', '', ''],
  },
  rename: {
    id: 'rename',
    title: 'own membership change in that room',
    cpuMs: 1,
    others: ['47', '139', '37'],
  },
  'rename-disk': {
    id: 'rename-disk',
    title: 'disk for such a change',
    value: 1500,
    unit: 'bytes',
    others: ['4,993', '21,744', '12,303'],
  },
  members: { id: 'members', title: '/members of 2,000', cpuMs: 8, others: ['', '', ''] },
  messages: { id: 'messages', title: '/messages, 100 events', cpuMs: 1.5, others: ['24', '14', '8'] },
  context: { id: 'context', title: '/context, 20 events', cpuMs: 1, others: ['9.5', '8.5', '7'] },
  relations: { id: 'relations', title: '/relations, 50 of a thread of 1,000', cpuMs: 3, others: ['', '', ''] },
  search: { id: 'search', title: 'search in 100,000 messages', cpuMs: 20, others: ['', '', ''] },
  'search-users': { id: 'search-users', title: 'search among 1,000 users', cpuMs: 5, others: ['', '', ''] },
  'public-rooms': { id: 'public-rooms', title: '/publicRooms, 100 of 10,000', cpuMs: 2, others: ['', '', ''] },
  'public-rooms-search': {
    id: 'public-rooms-search',
    title: 'search in 10,000 public rooms',
    cpuMs: 2,
    others: ['', '', ''],
  },
  hierarchy: { id: 'hierarchy', title: 'hierarchy of 500 rooms', cpuMs: 30, others: ['', '', ''] },
  'message-disk': {
    id: 'message-disk',
    title: 'disk for a message',
    value: 2000,
    unit: 'bytes',
    others: ['12,592', '7,219', '3,716'],
  },
  'pss-start': { id: 'pss-start', title: 'memory after start', value: 90, unit: 'MB', others: ['115', '48', '49'] },
  'pss-end': { id: 'pss-end', title: 'memory after the bench', value: 180, unit: 'MB', others: ['242', '320', '145'] },
  ready: {
    id: 'ready',
    title: 'ready on an existing database',
    value: 0.6,
    unit: 's',
    others: ['2.3', '1.4', '1.5'],
  },
} as const satisfies Record<string, Aim>;

export type AimId = keyof typeof AIMS;

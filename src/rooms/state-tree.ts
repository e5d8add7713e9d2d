/**
 * State snapshots that share: an immutable binary tree over a room's dense state key numbers, whose leaves are event
 * numbers. A snapshot stores only the nodes that are new in it; all others it names by the snapshot that stored them.
 * Storing a change, comparing two snapshots and reading one key cost the height of the tree or what differs, never the
 * size of the room. Why binary: a path copied in a tree of fan-out f stores (f-1)/log2(f) foreign references a bit of
 * key, which is least for 2. Figures: docs/decisions.
 */

import { nextTurn } from '../kit/next-turn.ts';
import { VarintReader, writeVarint } from '../kit/varint.ts';

/** Where a node is stored: snapshot number and index in that snapshot's nodes, as one number; 0 names no node. */
type NodeRef = number;

/** How many nodes of a large tree are looked at before others get their turn. */
const PAIRS_AT_ONCE = 2000;

const INDEX_SPAN = 2 ** 21;
const refOf = (snapshotNo: number, index: number): NodeRef => snapshotNo * INDEX_SPAN + index;
const snapshotOf = (ref: NodeRef): number => Math.floor(ref / INDEX_SPAN);
const indexOf = (ref: NodeRef): number => ref % INDEX_SPAN;

/**
 * The nodes of one snapshot: node `i` has the children `left[i]` and `right[i]`, event numbers in nodes of height 1. Plain
 * arrays: typed ones take 200 bytes each beside their numbers, and most packs hold a dozen nodes.
 */
export type NodePack = {
  readonly height: number;
  readonly left: readonly number[];
  readonly right: readonly number[];
};

/** Loads the packs of snapshots that are not at hand. Every asked one must be there. */
export type LoadPacks = (snapshotNos: readonly number[]) => Promise<void>;
/** A pack at hand, or undefined. */
export type PackAtHand = (snapshotNo: number) => NodePack | undefined;

/** One changed key: `null` for the event number takes the key out of the state. */
export type StateChange = readonly [keyNo: number, eventNo: number | null];

export type StateDifference = { readonly keyNo: number; readonly before: number | null; readonly after: number | null };

const zigzag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1);
const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);

/**
 * Packs nodes for storage. They lie level by level from height 1 up, the root last; `counts[h - 1]` of height h.
 * A child is 0 for none, odd for a node of this pack (how far back it lies), even for one of an older snapshot (how many
 * snapshots back, then its index). A leaf is its distance from the pack's first event number.
 */
function encode(snapshotNo: number, counts: readonly number[], pack: NodePack): Uint8Array {
  const out: number[] = [];
  const isPath = counts.every((count) => count === 1);
  writeVarint(out, pack.height * 2 + (isPath ? 1 : 0));
  if (!isPath) for (const count of counts) writeVarint(out, count);
  const firstLeaf = pack.left[0] || pack.right[0] || 0;
  writeVarint(out, firstLeaf);
  let node = 0;
  counts.forEach((count, level) => {
    for (let end = node + count; node < end; node++) {
      for (const child of [pack.left[node]!, pack.right[node]!]) {
        if (child === 0) writeVarint(out, 0);
        else if (level === 0) writeVarint(out, zigzag(child - firstLeaf) + 1);
        else if (snapshotOf(child) === snapshotNo) writeVarint(out, (node - indexOf(child)) * 2 + 1);
        else {
          writeVarint(out, (snapshotNo - snapshotOf(child)) * 2);
          writeVarint(out, indexOf(child));
        }
      }
    }
  });
  return Uint8Array.from(out);
}

/** Reads a stored pack. */
export function decodePack(snapshotNo: number, bytes: Uint8Array): NodePack {
  const reader = new VarintReader(bytes);
  const head = reader.next();
  const height = Math.floor(head / 2);
  const counts = Array.from<number>({ length: height }).fill(1);
  if (head % 2 === 0) for (let level = 0; level < height; level++) counts[level] = reader.next();
  const firstLeaf = reader.next();
  const total = counts.reduce((sum, count) => sum + count, 0);
  const left = new Array<number>(total).fill(0);
  const right = new Array<number>(total).fill(0);
  const child = (level: number, node: number): number => {
    const code = reader.next();
    if (code === 0) return 0;
    if (level === 0) return unzigzag(code - 1) + firstLeaf;
    if (code % 2 === 1) return refOf(snapshotNo, node - (code - 1) / 2);
    return refOf(snapshotNo - code / 2, reader.next());
  };
  let node = 0;
  counts.forEach((count, level) => {
    for (let end = node + count; node < end; node++) {
      left[node] = child(level, node);
      right[node] = child(level, node);
    }
  });
  return { height, left, right };
}

/** The trees of one room. Holds no node itself: packs come from a cache and, where it lacks one, from storage. */
export class StateTrees {
  readonly #atHand: PackAtHand;
  readonly #load: LoadPacks;

  constructor(atHand: PackAtHand, load: LoadPacks) {
    this.#atHand = atHand;
    this.#load = load;
  }

  async #pack(snapshotNo: number): Promise<NodePack> {
    let pack = this.#atHand(snapshotNo);
    if (pack === undefined) {
      await this.#load([snapshotNo]);
      pack = this.#atHand(snapshotNo);
    }
    if (pack === undefined) throw new Error(`The state snapshot ${snapshotNo} is not in the database.`);
    return pack;
  }

  async #root(snapshotNo: number): Promise<{ height: number; ref: NodeRef }> {
    const pack = await this.#pack(snapshotNo);
    return { height: pack.height, ref: refOf(snapshotNo, pack.left.length - 1) };
  }

  /** The event number of a key in a snapshot, or null. */
  async get(snapshotNo: number, keyNo: number): Promise<number | null> {
    const { height, ref } = await this.#root(snapshotNo);
    if (keyNo >= 2 ** height) return null;
    let at = ref;
    for (let level = height; level > 0; level--) {
      if (at === 0) return null;
      const pack = this.#atHand(snapshotOf(at)) ?? (await this.#pack(snapshotOf(at)));
      const isRight = Math.floor(keyNo / 2 ** (level - 1)) % 2 === 1;
      at = (isRight ? pack.right : pack.left)[indexOf(at)]!;
    }
    return at === 0 ? null : at;
  }

  /** The event numbers of some keys in a snapshot, in their order; 0 for a key that it lacks. */
  async getMany(snapshotNo: number, keyNos: readonly number[]): Promise<number[]> {
    const { height, ref } = await this.#root(snapshotNo);
    const at = keyNos.map((keyNo) => (keyNo < 2 ** height ? ref : 0));
    for (let level = height; level > 0; level--) {
      const missing = new Set<number>();
      for (const node of at) {
        if (node !== 0 && this.#atHand(snapshotOf(node)) === undefined) missing.add(snapshotOf(node));
      }
      if (missing.size > 0) await this.#load([...missing]);
      for (let index = 0; index < at.length; index++) {
        const node = at[index]!;
        if (node === 0) continue;
        const pack = this.#atHand(snapshotOf(node)) ?? (await this.#pack(snapshotOf(node)));
        const isRight = Math.floor(keyNos[index]! / 2 ** (level - 1)) % 2 === 1;
        at[index] = (isRight ? pack.right : pack.left)[indexOf(node)]!;
      }
    }
    return at;
  }

  /**
   * The event number of one key in some snapshots, in their order; 0 for a snapshot that lacks it. Costs what differs on the
   * way to the key: what two snapshots share is walked once.
   */
  async getInEach(snapshotNos: readonly number[], keyNo: number): Promise<number[]> {
    const found: number[] = [];
    // What lies below a node where the key leads through it. A node has its place in every tree that shares it.
    const below = new Map<NodeRef, number>([[0, 0]]);
    let open = snapshotNos.map((_, index) => index);
    while (open.length > 0) {
      const missing = new Set<number>();
      const stillOpen: number[] = [];
      for (const [count, index] of open.entries()) {
        if (count > 0 && count % PAIRS_AT_ONCE === 0) await nextTurn();
        const eventNo = this.#leafBelow(snapshotNos[index]!, keyNo, below, missing);
        if (eventNo === undefined) stillOpen.push(index);
        else found[index] = eventNo;
      }
      if (missing.size > 0) await this.#load([...missing]);
      open = stillOpen;
    }
    return found;
  }

  /** The leaf of a key, or undefined where a pack must be loaded first, which is added to `missing`. */
  #leafBelow(snapshotNo: number, keyNo: number, below: Map<NodeRef, number>, missing: Set<number>): number | undefined {
    const root = this.#atHand(snapshotNo);
    if (root === undefined) {
      missing.add(snapshotNo);
      return undefined;
    }
    if (keyNo >= 2 ** root.height) return 0;
    const path: NodeRef[] = [];
    let at = refOf(snapshotNo, root.left.length - 1);
    let leaf: number | undefined;
    for (let level = root.height; level > 0; level--) {
      leaf = below.get(at);
      if (leaf !== undefined) break;
      const pack = this.#atHand(snapshotOf(at));
      if (pack === undefined) {
        missing.add(snapshotOf(at));
        return undefined;
      }
      path.push(at);
      const isRight = Math.floor(keyNo / 2 ** (level - 1)) % 2 === 1;
      at = (isRight ? pack.right : pack.left)[indexOf(at)]!;
    }
    leaf ??= at;
    for (const node of path) below.set(node, leaf);
    return leaf;
  }

  /** Every key of a snapshot with its event number. */
  async entries(snapshotNo: number): Promise<Map<number, number>> {
    const entries = new Map<number, number>();
    for (const difference of await this.#walk(null, await this.#root(snapshotNo))) {
      if (difference.after !== null) entries.set(difference.keyNo, difference.after);
    }
    return entries;
  }

  /** What differs between two snapshots of the room; costs what differs. */
  async difference(beforeNo: number, afterNo: number): Promise<StateDifference[]> {
    if (beforeNo === afterNo) return [];
    return this.#walk(await this.#root(beforeNo), await this.#root(afterNo));
  }

  /** Walks two trees side by side and skips what they share. Loads what is missing level by level, each in one query. */
  async #walk(
    before: { height: number; ref: NodeRef } | null,
    after: { height: number; ref: NodeRef },
  ): Promise<StateDifference[]> {
    const found: StateDifference[] = [];
    const height = Math.max(before?.height ?? 0, after.height);
    type Pair = { before: NodeRef; after: NodeRef; prefix: number };
    // A lower tree stands under the left edge of a higher one: descend the higher one alone until both are level.
    let pairs: Pair[] = [{ before: before?.ref ?? 0, after: after.ref, prefix: 0 }];
    for (let level = height; level > 0; level--) {
      const missing = new Set<number>();
      const need = (ref: NodeRef): void => {
        if (ref !== 0 && this.#atHand(snapshotOf(ref)) === undefined) missing.add(snapshotOf(ref));
      };
      for (const [index, pair] of pairs.entries()) {
        if (index > 0 && index % PAIRS_AT_ONCE === 0) await nextTurn();
        need(pair.before);
        need(pair.after);
      }
      if (missing.size > 0) await this.#load([...missing]);
      const next: Pair[] = [];
      const children = (ref: NodeRef, treeHeight: number, isLeftEdge: boolean): readonly [number, number] => {
        if (ref === 0) return [0, 0];
        if (treeHeight < level) return isLeftEdge ? [ref, 0] : [0, 0];
        const pack = this.#atHand(snapshotOf(ref));
        if (pack === undefined) throw new Error(`The state snapshot ${snapshotOf(ref)} is not in the database.`);
        return [pack.left[indexOf(ref)]!, pack.right[indexOf(ref)]!];
      };
      for (const [index, pair] of pairs.entries()) {
        if (index > 0 && index % PAIRS_AT_ONCE === 0) await nextTurn();
        const [beforeLeft, beforeRight] = children(pair.before, before?.height ?? 0, pair.prefix === 0);
        const [afterLeft, afterRight] = children(pair.after, after.height, pair.prefix === 0);
        if (beforeLeft !== afterLeft) next.push({ before: beforeLeft, after: afterLeft, prefix: pair.prefix * 2 });
        if (beforeRight !== afterRight) {
          next.push({ before: beforeRight, after: afterRight, prefix: pair.prefix * 2 + 1 });
        }
      }
      pairs = next;
    }
    for (const pair of pairs) {
      found.push({ keyNo: pair.prefix, before: pair.before || null, after: pair.after || null });
    }
    return found;
  }

  /**
   * Makes a snapshot from another one (null: from nothing) and changes to it. Gives the new pack and its stored form;
   * the caller stores it under `snapshotNo`, which must be greater than that of every snapshot it builds on.
   */
  async change(
    baseNo: number | null,
    snapshotNo: number,
    changes: readonly StateChange[],
  ): Promise<{ pack: NodePack; nodes: Uint8Array }> {
    const base = baseNo === null ? { height: 0, ref: 0 } : await this.#root(baseNo);
    const sorted = [...changes].sort((a, b) => a[0] - b[0]);
    const keyMax = sorted.at(-1)?.[0] ?? 0;
    let height = Math.max(1, base.height);
    while (keyMax >= 2 ** height) height++;

    // Going down, each touched node is read once; going up, it is written with its new children.
    type Slot = { left: number; right: number };
    const levels: Map<number, Slot>[] = [];
    let touched = new Map<number, NodeRef>([[0, base.ref]]);
    const prefixesAt = (level: number): Set<number> => {
      const prefixes = new Set(sorted.map(([keyNo]) => Math.floor(keyNo / 2 ** level)));
      // Where the tree grows, nodes on its left edge lead down to the old root.
      if (level > base.height || sorted.length === 0) prefixes.add(0);
      return prefixes;
    };
    for (let level = height; level > 0; level--) {
      const slots = new Map<number, Slot>();
      const missing = new Set<number>();
      for (const ref of touched.values()) {
        if (ref !== 0 && this.#atHand(snapshotOf(ref)) === undefined) missing.add(snapshotOf(ref));
      }
      if (missing.size > 0) await this.#load([...missing]);
      for (const [prefix, ref] of touched) {
        if (ref === 0) slots.set(prefix, { left: 0, right: 0 });
        else if (base.height < level) slots.set(prefix, { left: prefix === 0 ? ref : 0, right: 0 });
        else {
          const pack = await this.#pack(snapshotOf(ref));
          slots.set(prefix, { left: pack.left[indexOf(ref)]!, right: pack.right[indexOf(ref)]! });
        }
      }
      levels[level] = slots;
      const below = new Map<number, NodeRef>();
      if (level > 1) {
        for (const prefix of prefixesAt(level - 1)) {
          const slot = slots.get(Math.floor(prefix / 2))!;
          below.set(prefix, prefix % 2 === 1 ? slot.right : slot.left);
        }
      }
      touched = below;
    }
    for (const [keyNo, eventNo] of sorted) {
      const slot = levels[1]!.get(Math.floor(keyNo / 2))!;
      if (keyNo % 2 === 1) slot.right = eventNo ?? 0;
      else slot.left = eventNo ?? 0;
    }
    const left: number[] = [];
    const right: number[] = [];
    const counts: number[] = [];
    for (let level = 1; level <= height; level++) {
      const slots = levels[level]!;
      counts.push(slots.size);
      for (const [prefix, slot] of slots) {
        const index = left.length;
        left.push(slot.left);
        right.push(slot.right);
        const above = levels[level + 1]?.get(Math.floor(prefix / 2));
        if (above === undefined) continue;
        if (prefix % 2 === 1) above.right = refOf(snapshotNo, index);
        else above.left = refOf(snapshotNo, index);
      }
    }
    // What was pushed to keeps room for more; a copy does not.
    const pack: NodePack = { height, left: left.slice(), right: right.slice() };
    return { pack, nodes: encode(snapshotNo, counts, pack) };
  }
}

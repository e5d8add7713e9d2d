/** What a process and all processes below it have used, read from Linux's /proc. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

type ProcessStat = { pid: number; parentPid: number; cpuMs: number };

const MS_PER_TICK = 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

function readProcess(pid: string): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // It ended between the listing and the reading.
    return undefined;
  }
  // The name in parentheses may hold blanks; the fields after it are numbered from 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  const ownMs = (field(14) + field(15)) * MS_PER_TICK;
  const endedChildrenMs = (field(16) + field(17)) * MS_PER_TICK;
  // The scheduler counts nanoseconds but forgets threads that have ended; the ticks remember them.
  const cpuMs = Math.max(ownMs, scheduledMs(pid)) + endedChildrenMs;
  return { pid: Number(pid), parentPid: field(4), cpuMs };
}

/** The time that a process's living threads have run. */
function scheduledMs(pid: string): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
      const nanoseconds = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0];
      return sum + Number(nanoseconds) / 1e6;
    }, 0);
  } catch {
    // A thread ended meanwhile, or the kernel does not count: the ticks serve.
    return 0;
  }
}

function treeOf(roots: readonly number[]): ProcessStat[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(readProcess)
    .filter((found) => found !== undefined);
  const tree = new Map<number, ProcessStat>();
  const add = (pid: number): void => {
    const found = all.find((candidate) => candidate.pid === pid);
    if (found === undefined || tree.has(pid)) return;
    tree.set(pid, found);
    for (const child of all) if (child.parentPid === pid) add(child.pid);
  };
  for (const pid of roots) add(pid);
  return [...tree.values()];
}

/** The processes of some trees. */
export function processesOf(roots: readonly number[]): number[] {
  return treeOf(roots).map(({ pid }) => pid);
}

/** User and system time of the trees of processes, threads and ended children included, in milliseconds. */
export function cpuMsOf(roots: readonly number[]): number {
  return treeOf(roots).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

/** Memory of a tree of processes, where a page that several share counts once (PSS). */
export function pssBytesOf(root: number): number {
  return treeOf([root]).reduce((sum, { pid }) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return sum + Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  }, 0);
}

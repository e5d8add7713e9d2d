/** The file with the number of the running server's process. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** The process that a pid file names, or null where there is none or it is not a server of ours any more. */
export function runningPid(path: string): number | null {
  let pid: number;
  try {
    pid = Number(readFileSync(path, 'utf8').trim());
  } catch {
    return null;
  }
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return null;
  try {
    // After a crash and a reboot the number may belong to anything.
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('myelin')) return null;
  } catch {
    // No /proc here: that it lives must do.
  }
  return pid;
}

/** Whether a process exists and has not ended. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  try {
    // An ended process whose parent has not looked yet still has a number.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

/** Writes the number of this process. */
export function writePidFile(path: string): void {
  writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
}

/** Removes the file, if it is still ours. */
export function removePidFile(path: string): void {
  try {
    if (Number(readFileSync(path, 'utf8').trim()) === process.pid) rmSync(path);
  } catch {
    // Gone already, as it should be.
  }
}

/** Installs the packages of the lock file. Runs on an old Node. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './runtime.js';

/** True where every package of the lock file that this machine needs is there in just that version. */
export function isInstalled() {
  const installedList = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedList)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedList, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || installed[path]?.version === version,
  );
}

/** Installs; ends the process where that fails. */
export function install() {
  console.log('Installing packages: npm ci (about half a minute, once)');
  // No package that the server uses needs its install script.
  const { status, error } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (error !== undefined) console.error(`npm cannot be started: ${error.message}`);
  if (status !== 0) {
    console.error('Installing failed; what npm says above tells why. Run npm start again to go on.');
    process.exit(status ?? 1);
  }
}

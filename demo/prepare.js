/** Installs and builds where that is due, so that demo/start.sh works in a fresh clone. Runs on an old Node. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { isBuilt } from '../bin/launch.js';
import { install, isInstalled } from '../scripts/install.js';
import { nodePath, root } from '../scripts/runtime.js';

if (!isInstalled()) install();
if (!isBuilt(join(root, 'dist', 'myelin.js'))) {
  console.log('Building.');
  const { status, stderr } = spawnSync(nodePath(), [join(root, 'scripts', 'build.js')], { cwd: root });
  if (status !== 0) {
    process.stderr.write(stderr);
    process.exit(status ?? 1);
  }
}

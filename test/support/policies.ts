/** Pages of policies for tests, and the section of the configuration that names them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Config } from '../../src/config/config.ts';

/** `pages`: the text of each version; the last one is in force. */
export function makePolicies(t: TestContext, pages: Readonly<Record<string, string>>): Config['consent'] {
  const templateDir = mkdtempSync(join(tmpdir(), 'myelin-test-'));
  t.after(() => rmSync(templateDir, { recursive: true, force: true }));
  mkdirSync(join(templateDir, 'en'));
  for (const [version, text] of Object.entries(pages)) writeFileSync(join(templateDir, 'en', `${version}.html`), text);
  return {
    isRequiredAtRegistration: true,
    version: Object.keys(pages).at(-1) ?? null,
    policyName: 'Privacy Policy',
    policyUrl: null,
    templateDir,
  };
}

#!/usr/bin/env node
import { launch } from './launch.js';

await launch('register-new-matrix-user');
